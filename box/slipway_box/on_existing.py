"""CLUSTER=existing: a cluster that somebody else runs, as $KUBECONFIG and its current context say."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from slipway_box import machine
from slipway_box.errors import BoxError

_DEFINITION = "inferenceservices.serving.kserve.io"


@dataclass(frozen=True)
class OnExisting:
    """Whatever the user's kubectl speaks to; nothing is installed and nothing is taken away."""

    def up(self) -> None:
        """Check that it answers and has KServe."""
        require_kserve(self.kubectl())

    def down(self, *, caches: bool) -> None:
        """Refused: it is not ours."""
        raise BoxError("CLUSTER=existing names a cluster that the box did not make, and will not take down.")

    def status(self) -> tuple[str, bool]:
        """Its nodes, as kubectl shows them."""
        return nodes(self.kubectl())

    def load(self, wanted: str) -> str:
        """Refused: there is no way in but a registry."""
        raise BoxError(f"Push {wanted} to a registry that the cluster can pull from; CLUSTER=existing cannot load images.")

    def kubeconfig(self) -> Path:
        """The first file of $KUBECONFIG, else the usual place."""
        return Path(os.environ.get("KUBECONFIG", "").split(os.pathsep)[0] or Path.home() / ".kube" / "config")

    def kubectl(self, *arguments: str) -> list[str]:
        """The kubectl on PATH, with the user's own settings."""
        return [program(), *arguments]


def program() -> str:
    """The kubectl on PATH."""
    found = shutil.which("kubectl")
    if found is None:
        raise BoxError("There is no kubectl on PATH; with CLUSTER=kind or existing the user's own is used.")
    return found


def require_kserve(kubectl: list[str]) -> None:
    """Raise BoxError, saying how to get it, when the cluster does not answer or has no KServe."""
    asked = subprocess.run([*kubectl, "get", "crd", _DEFINITION, "--output=name"], capture_output=True, text=True, check=False)
    if asked.returncode and "NotFound" in asked.stderr:
        raise BoxError(
            "The cluster has no KServe: install KServe 0.20 or later in Standard deployment mode (its charts kserve-crd and kserve, with "
            "kserve.controller.deploymentMode=Standard), then try again."
        )
    if asked.returncode:
        raise BoxError(f"The cluster does not answer; check KUBECONFIG and the current context: {asked.stderr.strip().splitlines()[-1]}")


def nodes(kubectl: list[str]) -> tuple[str, bool]:
    """The table of nodes, and whether all are Ready."""
    shown = machine.run(*kubectl, "get", "nodes")
    states = [line.split()[1] for line in shown.splitlines()[1:]]
    return shown.rstrip(), bool(states) and all(state.split(",")[0] == "Ready" for state in states)
