"""The Go programs of the cluster: built from pinned modules, once for every content of the build."""

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from slipway_box import toolchain
from slipway_box.errors import BoxError
from slipway_box.layout import cache
from slipway_box.progress import step
from slipway_box.toolchain import MODULE, Toolchain

KUBERNETES = "1.34.4"
KSERVE_MODULE = "github.com/kserve/kserve"
_KSERVE_MANIFESTS = ("config/crd/full", "config/rbac", "config/webhook")
_SPACE_BYTES = 8 * 1024**3


@dataclass(frozen=True)
class Program:
    """A command to build and the seconds it takes when nothing is cached, on 2 cores, after those above it."""

    name: str
    package: str
    usual_s: float


PROGRAMS = {
    program.name: program
    for program in (
        Program("etcd", "go.etcd.io/etcd/server/v3", 60),
        Program("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", 180),
        Program("kubectl", "k8s.io/kubernetes/cmd/kubectl", 40),
        Program("kserve-manager", f"{KSERVE_MODULE}/cmd/manager", 120),
        Program("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager", 100),
        Program("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler", 10),
        Program("kubelet", "k8s.io/kubernetes/cmd/kubelet", 30),
        Program("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy", 10),
        Program("dns", "slipway.dev/box/dns", 10),
    )
}


@dataclass(frozen=True)
class Programs:
    """A folder of built programs, and perhaps one of the user's own that goes first."""

    folder: Path
    assets: Path | None = None

    def path(self, name: str) -> str:
        """Where the program ``name`` is."""
        given = self.assets / name if self.assets else None
        return str(given if given and given.exists() else self.folder / name)

    @property
    def kserve(self) -> Path:
        """KServe's own manifests, as its module has them."""
        return self.folder / "kserve"


def flags() -> list[str]:
    """Flags of the build.

    The version is linked in because the modules do not carry it: without it the servers call themselves v0.0.0 and their feature
    gates, which go by version, come out wrong.
    """
    major, minor, _ = KUBERNETES.split(".")
    values = {"gitVersion": f"v{KUBERNETES}", "gitMajor": major, "gitMinor": minor}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    linked = " ".join(f"-X {package}.{key}={value}" for package in packages for key, value in values.items())
    return ["-trimpath", "-buildvcs=false", "-ldflags", f"-s -w {linked}"]


def content_hash(*, go_version: str, module: Path = MODULE) -> str:
    """Names the folder of one build: everything that decides what comes out of it goes in."""
    sources = [(module / name).read_bytes() for name in ("go.mod", "go.sum", "dns/main.go")]
    decided = [*sources, " ".join(flags()).encode(), go_version.encode()]
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in decided)).hexdigest()[:16]


def assets() -> Path | None:
    """The folder that $KUBEBUILDER_ASSETS names: where other tools that test against an API server look for one too."""
    named = os.environ.get("KUBEBUILDER_ASSETS")
    return Path(named) if named else None


def need(*names: str, assets: Path | None = None) -> Programs:
    """Those of the programs, taken from ``assets`` or built where they are missing.

    Raises BoxError with the compiler's last lines when a build fails.
    """
    if assets and all((assets / name).exists() for name in names):
        return Programs(folder=assets)
    go = toolchain.find()
    programs = Programs(folder=cache() / "bin" / content_hash(go_version=go.version), assets=assets)
    missing = [name for name in names if not Path(programs.path(name)).exists()]
    if missing or ("kserve-manager" in names and not programs.kserve.exists()):
        with _alone(programs.folder):
            _build(programs, missing, go)
    return programs


def _build(programs: Programs, names: list[str], go: Toolchain) -> None:
    _require_space(programs.folder)
    for name in names:
        if not (programs.folder / name).exists():
            _build_one(programs.folder, PROGRAMS[name], go)
    if "kserve-manager" in names and not programs.kserve.exists():
        _copy_kserve_manifests(programs.kserve, go)


def _build_one(folder: Path, program: Program, go: Toolchain) -> None:
    unfinished = folder / f".{program.name}.new"
    with step(f"building {program.name}", usual_s=program.usual_s):
        done = go.run("build", *flags(), "-o", str(unfinished), program.package)
    if done.returncode:
        raise BoxError(build_failure(program.name, done.stderr))
    unfinished.replace(folder / program.name)


def build_failure(name: str, output: str) -> str:
    """The sentence for a failed build; a network that is missing is by far its most frequent cause."""
    last = "\n".join(f"  {line}" for line in output.strip().splitlines()[-6:])
    if any(sign in output for sign in ("dial tcp", "no such host", "i/o timeout", "connection refused", "TLS handshake")):
        return f"{name} could not be built because Go cannot reach its module proxy; check the network (and GOPROXY):\n{last}"
    if "no space left" in output:
        return f"{name} could not be built because the disk is full; free 8 GiB, or point SLIPWAY_CACHE and GOCACHE elsewhere:\n{last}"
    return f"{name} could not be built; the end of what Go said:\n{last}"


def _copy_kserve_manifests(target: Path, go: Toolchain) -> None:
    # A copy beside the programs: Go's module cache may be emptied, and asking Go where a module lies costs a second each time.
    go.run("mod", "download", KSERVE_MODULE)
    module = go.run("list", "-m", "-f", "{{.Dir}}", KSERVE_MODULE).stdout.strip()
    if not module:
        raise BoxError(f"Go cannot fetch the module {KSERVE_MODULE}, which holds KServe's resource definitions: check the network.")
    unfinished = target.with_name(".kserve.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    for part in _KSERVE_MANIFESTS:
        shutil.copytree(Path(module) / part, unfinished / part, copy_function=shutil.copyfile)
        for folder in (unfinished / part).rglob("*/"):
            folder.chmod(0o755)  # the module cache is read-only, and so would be the copy
    unfinished.rename(target)


def _require_space(folder: Path) -> None:
    available = shutil.disk_usage(folder).free
    if available < _SPACE_BYTES:
        raise BoxError(f"A build needs 8 GiB of disk and {folder} has {available / 1024**3:.1f} GiB: free some, or set SLIPWAY_CACHE.")


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
