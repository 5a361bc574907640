"""The container images that the box runs: built when first asked for, kept as one docker-archive file each.

An archive is named by a hash of everything that goes into it (Dockerfile, requirements, copied sources, base image, version), so that a
changed source gives a new archive and an unchanged one costs nothing. docs/design/images.md says what is in each image.
"""

import contextlib
import fcntl
import hashlib
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from slipway_box import apt_access, buildah, layout, packages, pip_access
from slipway_box.errors import BoxError
from slipway_box.progress import step

BASES = layout.REPOSITORY / "box" / "bases"
BUSYBOX = Path("/bin/busybox")


@dataclass(frozen=True)
class Image:
    """One image: what goes into it, and how long a build on a 2-core machine takes with nothing cached, in seconds."""

    name: str
    inputs: tuple[str, ...]
    """Files and folders of the repository. Whatever is missing here changes the image without changing its archive's name."""
    usual_s: float
    on_python: bool = True
    """A target of the Dockerfile, on the Python base image. The other kind has a Dockerfile of its own in box/bases."""


IMAGES = {
    image.name: image
    for image in (
        Image("pause", inputs=("box/bases/pause.Dockerfile",), usual_s=2, on_python=False),
        Image("operator", inputs=("Dockerfile", ".dockerignore", "requirements/operator.txt", "operator"), usual_s=20),
        Image(
            "router",
            inputs=("Dockerfile", ".dockerignore", "requirements/router.txt", "inference/slipway_service", "inference/slipway_router"),
            usual_s=30,
        ),
        Image(
            "transformer",
            inputs=(
                "Dockerfile",
                ".dockerignore",
                "requirements/inference.txt",
                "inference/slipway_service",
                "inference/slipway_inference",
                "components/slipway_features",
            ),
            usual_s=20,
        ),
        Image(
            "ledger",
            inputs=("Dockerfile", ".dockerignore", "requirements/ledger.txt", "inference/slipway_service", "inference/slipway_ledger"),
            usual_s=20,
        ),
        Image("triton-cpu", inputs=("Dockerfile", ".dockerignore", "requirements/triton-cpu.txt", "inference/triton"), usual_s=20),
        Image(
            "storage-initializer",
            inputs=("Dockerfile", ".dockerignore", "requirements/storage-initializer.txt", "inference/storage_initializer"),
            usual_s=40,
        ),
    )
}


def reference(name: str) -> str:
    """What a pod's ``image:`` says, such as ``slipway/operator:0.1.0``."""
    return f"slipway/{_image(name).name}:{version()}"


def version() -> str:
    """The project's version, from its one place: pyproject.toml."""
    project = tomllib.loads((layout.REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    return str(project["project"]["version"])


def archive(name: str) -> Path:
    """The docker-archive file of an image, built if there is none for the present content of the repository.

    Raises BoxError for an unknown name, and when the build fails.
    """
    image = _image(name)
    made = _folder() / f"{name}-{_key(image)}.tar"
    if made.is_file():
        return made
    with _one_build_at_a_time():
        if not made.is_file():
            base = _python_base() if image.on_python else ""
            with step(f"building the image {reference(name)}", usual_s=image.usual_s):
                built = _from_python(image, base=base) if image.on_python else _pause()
                buildah.export(built, name=reference(name), to=made)
            _forget_others(made, name)
    return made


def clean() -> None:
    """Take away all archives, all layers and whatever is mounted among them."""
    buildah.clean()
    shutil.rmtree(_folder(), ignore_errors=True)


def _image(name: str) -> Image:
    if name not in IMAGES:
        raise BoxError(f"There is no image called {name}; there are {', '.join(IMAGES)}.")
    return IMAGES[name]


def _key(image: Image) -> str:
    base = [_python_base_key()] if image.on_python else []
    return _digest((layout.REPOSITORY / path for path in image.inputs), [reference(image.name), *base])


def _digest(paths: Iterable[Path], words: Iterable[str] = ()) -> str:
    """16 hexadecimal digits of the names, modes and contents of ``paths`` and what lies under them, and of ``words``."""
    total = hashlib.sha256("\0".join(words).encode())
    for top in paths:
        if not top.exists():
            raise BoxError(f"{top} goes into an image and is missing: check out the whole repository.")
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and "__pycache__" not in path.parts:
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                total.update(f"{path.relative_to(layout.REPOSITORY)} {path.stat().st_mode:o} {content}\n".encode())
    return total.hexdigest()[:16]


def _from_python(image: Image, *, base: str) -> str:
    with pip_access.mounts() as mounts:
        return buildah.build(
            layout.REPOSITORY / "Dockerfile",
            context=layout.REPOSITORY,
            log=_folder() / f"{image.name}.log",
            target=image.name,
            arguments={"PYTHON_BASE": base, "VERSION": version()},
            mounts={**mounts, **apt_access.mounts()},
        )


def _pause() -> str:
    packages.need("busybox-static", usual_s=10)
    with _context() as context:
        shutil.copy(BUSYBOX, context / "busybox")
        return buildah.build(BASES / "pause.Dockerfile", context=context, log=_folder() / "pause.log")


def _python_base() -> str:
    """The name of the stand-in for python:3.11-slim-bookworm, built if it is not there."""
    tag = f"localhost/slipway/python-base:{_python_base_key()}"
    if buildah.has(tag):
        return tag
    packages.need("debootstrap", usual_s=10)
    log = _folder() / "python-base.log"
    with step("building the Python base image", usual_s=60), _context() as context:
        with log.open("wb") as output:
            done = subprocess.run([BASES / "python-rootfs", context], stdout=output, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            raise BoxError(f"debootstrap failed; check that Debian's archive can be reached. What it said is in {log}.")
        buildah.build(BASES / "python.Dockerfile", context=context, log=log, tag=tag)
    return tag


def _python_base_key() -> str:
    return _digest([BASES / "python.Dockerfile", BASES / "python-rootfs"])


def _folder() -> Path:
    folder = layout.cache() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _forget_others(made: Path, name: str) -> None:
    """An archive is up to a gigabyte: keep the latest of an image only."""
    for other in _folder().glob(f"{name}-{'?' * 16}.tar"):
        if other != made:
            other.unlink()


@contextlib.contextmanager
def _context() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=_folder(), prefix="context-") as folder:
        yield Path(folder)


@contextlib.contextmanager
def _one_build_at_a_time() -> Iterator[None]:
    with (_folder() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
