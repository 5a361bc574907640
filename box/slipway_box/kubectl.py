"""The built kubectl, and objects applied through it."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway_box.errors import BoxError

FIELD_MANAGER = "slipway-box"


@dataclass(frozen=True)
class Kubectl:
    """A kubectl that speaks to one cluster, whatever the user's own configuration says."""

    program: str
    kubeconfig: Path

    def command(self, *arguments: str) -> list[str]:
        """The command line; what kubectl remembers of the server lies beside the kubeconfig and not in the user's home."""
        cache = self.kubeconfig.parent / "kubectl"
        return [self.program, f"--kubeconfig={self.kubeconfig}", f"--cache-dir={cache}", *arguments]

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl printed.

        Raises BoxError with what it complained about.
        """
        done = subprocess.run(self.command(*arguments), input=stdin, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BoxError(f"kubectl {' '.join(arguments[:3])} failed: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def apply(self, *objects: Mapping[str, Any], files: Sequence[Path] = ()) -> None:
        """Apply ``objects`` and the manifests in ``files`` server-side; client-side apply cannot hold KServe's definitions."""
        chosen = [f"--filename={file}" for file in files]
        stdin = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}) if objects else None
        if objects:
            chosen.append("--filename=-")
        self.run("apply", "--server-side", "--force-conflicts", f"--field-manager={FIELD_MANAGER}", *chosen, stdin=stdin)

    def as_json(self, manifest: Path) -> list[dict[str, Any]]:
        """The objects of a YAML file, without asking any server: Python's standard library reads JSON only."""
        patched = self.run("patch", "--local", "--type=merge", "--patch={}", "--output=json", f"--filename={manifest}")
        return documents(patched)


def documents(text: str) -> list[dict[str, Any]]:
    """Splits JSON objects that follow each other without a separator."""
    decoder, found, position = json.JSONDecoder(), [], 0
    while position < len(text):
        value, end = decoder.raw_decode(text, position)
        found.append(value)
        position = end + len(text[end:]) - len(text[end:].lstrip())
    return found
