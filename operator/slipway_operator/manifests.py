"""Generated manifests: ``python -m slipway_operator.manifests`` writes them into a checkout.

The CRDs come from the models, the ClusterServingRuntimes from kustomize/runtimes and the launch script, manifests/*.yaml from kustomize/base.
"""

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from slipway_operator import yaml_text
from slipway_operator.api import crd
from slipway_operator.api.metadata import GROUP

RUNTIME_LABEL: Final = f"{GROUP}/runtime"
_DIGEST_LENGTH: Final = 8
_LAUNCH_SCRIPT: Final = Path("inference/triton/serve")
_BUILT: Final = {"manifests/crds.yaml": "kustomize/base/crds", "manifests/install.yaml": "kustomize/base/system"}
# The kubelet replaces $(NAME) in a command, KServe's templates {{...}}; either would change the script behind the digest's back.
_REPLACED_ON_THE_WAY: Final = ("$(", "{{")


class ManifestError(Exception):
    """A source of generated manifests is not as it should be; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """A ClusterServingRuntime that never changes: another spec has another name."""

    family: str
    spec: Mapping[str, Any]

    @property
    def name(self) -> str:
        """``slipway-triton-1a2b3c4d``: the family and the digest of the spec in canonical JSON."""
        canonical = json.dumps(self.spec, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return f"{self.family}-{hashlib.sha256(canonical.encode()).hexdigest()[:_DIGEST_LENGTH]}"

    def manifest(self) -> dict[str, Any]:
        """The object. Revisions made with it keep it, so Argo CD is told neither to prune it nor to miss it in Git once a newer one is there."""
        return {
            "apiVersion": "serving.kserve.io/v1alpha1",
            "kind": "ClusterServingRuntime",
            "metadata": {
                "name": self.name,
                "labels": {RUNTIME_LABEL: self.family},
                "annotations": {
                    "argocd.argoproj.io/sync-options": "Prune=false",
                    "argocd.argoproj.io/compare-options": "IgnoreExtraneous",
                },
            },
            "spec": dict(self.spec),
        }

    def operator_patch(self) -> dict[str, Any]:
        """What tells the operator to pin new revisions to this runtime."""
        variable = {"name": "SLIPWAY_RUNTIMES", "value": f"{self.family}={self.name}"}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "slipway-operator", "namespace": "slipway-system"},
            "spec": {"template": {"spec": {"containers": [{"name": "operator", "env": [variable]}]}}},
        }


def sources(root: Path) -> Iterator[tuple[str, str]]:
    """Path below ``root`` and text of each generated file that kustomize then reads."""
    for kind in crd.KINDS:
        yield f"kustomize/base/crds/{kind.plural}.yaml", _generated(crd.crd(kind), origin="the models in operator/slipway_operator/api")
    script = launch_script(root)
    for source in sorted((root / "kustomize/runtimes").glob("*.yaml")):
        folder, runtime = runtime_of(yaml.safe_load(source.read_text()), script=script)
        origin = f"{source.relative_to(root)} and {_LAUNCH_SCRIPT}"
        yield f"kustomize/{folder}/{runtime.family}.yaml", _generated(runtime.manifest(), origin=origin)
        yield f"kustomize/{folder}/operator-patch.yaml", _generated(runtime.operator_patch(), origin=origin)


def runtime_of(described: Mapping[str, Any], *, script: str) -> tuple[str, Runtime]:
    """The folder and the runtime that a file of kustomize/runtimes describes, started by ``script``."""
    spec = dict(described["spec"])
    server, *others = spec["containers"]
    started = {"name": server["name"], "image": server["image"], "command": ["/bin/sh", "-c", script, "serve"], **server}
    spec["containers"] = [started, *others]
    return described["into"], Runtime(family=described["family"], spec=spec)


def launch_script(root: Path) -> str:
    """The text of the launch script, which travels in the runtime so that NVIDIA's image needs nothing of ours in it."""
    script = (root / _LAUNCH_SCRIPT).read_text()
    for token in _REPLACED_ON_THE_WAY:
        if token in script:
            raise ManifestError(f"{_LAUNCH_SCRIPT} holds {token!r}, which Kubernetes or KServe replaces before the shell sees it")
    return script


def built(root: Path, *, kubectl: str) -> Iterator[tuple[str, str]]:
    """Path below ``root`` and text of each manifest that people apply without kustomize."""
    for target, folder in _BUILT.items():
        yield target, _header(origin=f"{folder}, by kubectl kustomize") + kustomized(root / folder, kubectl=kubectl)


def kustomized(folder: Path, *, kubectl: str) -> str:
    """What ``kubectl kustomize`` makes of ``folder``."""
    done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ManifestError(f"kubectl kustomize {folder} failed: {done.stderr.strip()}")
    return done.stdout


def _generated(value: Mapping[str, Any], *, origin: str) -> str:
    return _header(origin=origin) + yaml_text.dump(value)


def _header(*, origin: str) -> str:
    return f"# Generated by `make generate` from {origin}. Do not edit.\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Write every generated file; says which of them changed."""
    parser = argparse.ArgumentParser(prog="python -m slipway_operator.manifests", description="Writes the generated manifests into a checkout.")
    parser.add_argument("--root", type=Path, default=Path(), help="the checkout (%(default)s)")
    parser.add_argument("--kubectl", default="kubectl", help="a kubectl of 1.27 or later (%(default)s)")
    arguments = parser.parse_args(argv)
    try:
        changed = [*_write(arguments.root, sources(arguments.root)), *_write(arguments.root, built(arguments.root, kubectl=arguments.kubectl))]
    except (ManifestError, OSError) as error:
        print(f"manifests: {error}", file=sys.stderr)  # noqa: T201 - a command talks to a person
        return 1
    for path in changed:
        print(path)  # noqa: T201
    return 0


def _write(root: Path, files: Iterator[tuple[str, str]]) -> Iterator[str]:
    for path, text in files:
        target = root / path
        if not target.exists() or target.read_text() != text:
            target.write_text(text)
            yield path


if __name__ == "__main__":
    sys.exit(main())
