"""Programs that few need, built or installed when first asked for."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from slipway_box import packages, toolchain
from slipway_box.errors import BoxError
from slipway_box.layout import cache
from slipway_box.programs import build_failure
from slipway_box.progress import step


@dataclass(frozen=True, kw_only=True)
class Extra:
    """A Go module of its own: the folder of the module below box/, the program's package, and the seconds a cold build takes on 2 cores."""

    name: str
    module: str
    package: str
    usual_s: float

    def build(self) -> str:
        """The program, built if it is not there. Raises BoxError with the compiler's last lines."""
        module, go = toolchain.MODULE / self.module, toolchain.find()
        decided = [(module / name).read_bytes() for name in ("go.mod", "go.sum")]
        made = cache() / "bin" / hashlib.sha256(b"\0".join([*decided, go.version.encode()])).hexdigest()[:16] / self.name
        if made.exists():
            return str(made)
        made.parent.mkdir(parents=True, exist_ok=True)
        with step(f"building {self.name}", usual_s=self.usual_s):
            done = go.run("build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", f"{made}.new", self.package, folder=module)
        if done.returncode:
            raise BoxError(build_failure(self.name, done.stderr))
        Path(f"{made}.new").replace(made)
        return str(made)


@dataclass(frozen=True, kw_only=True)
class Packaged:
    """A program of a Debian package: where it lies, and the seconds that installing takes."""

    package: str
    path: str
    usual_s: float

    def build(self) -> str:
        """The program, installed if it is not there. Raises BoxError with apt's last lines."""
        packages.need(self.package, usual_s=self.usual_s)
        return self.path
