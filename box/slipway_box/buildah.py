"""Builds images without a container engine: buildah, with every file of its own under the cache."""

import functools
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from slipway_box import layout, packages
from slipway_box.errors import BoxError


def build(
    dockerfile: Path,
    *,
    context: Path,
    log: Path,
    tag: str | None = None,
    target: str | None = None,
    arguments: Mapping[str, str] | None = None,
    mounts: Mapping[Path, str] | None = None,
) -> str:
    """Build ``dockerfile`` up to ``target``, name the result ``tag`` where one is given, and return its id.

    ``mounts`` are files of this machine, readable at the given places while the lines of the Dockerfile run; no image keeps them.
    Raises BoxError with the last lines of ``log`` when a line of the Dockerfile fails.
    """
    built = log.with_suffix(".id")
    command = ["bud", "--isolation", "chroot", "--network", "host", "--layers", "--pull-never"]
    command += ["--file", str(dockerfile), "--iidfile", str(built)]
    command += ["--tag", tag] if tag else []
    command += ["--target", target] if target else []
    for name, value in (arguments or {}).items():
        command += ["--build-arg", f"{name}={value}"]
    for source, place in (mounts or {}).items():
        command += ["--volume", f"{source}:{place}:ro"]
    done = _buildah(*command, str(context))
    log.write_text(done.stdout, encoding="utf-8")
    if done.returncode:
        last = "\n".join(done.stdout.strip().splitlines()[-8:])
        raise BoxError(f"{target or dockerfile.name} could not be built. Everything that was said is in {log}; its last lines:\n{last}")
    identity = built.read_text(encoding="ascii").strip()
    built.unlink()
    return identity


def export(image: str, *, name: str, to: Path) -> None:
    """Write the image with the id ``image`` to the docker-archive ``to``, where it is called ``name`` and nothing else."""
    unfinished = to.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    done = _buildah("push", "--quiet", image, f"docker-archive:{unfinished}:{name}")
    if done.returncode:
        raise BoxError(f"The image {name} could not be written to {to}; check that the disk has room. What was said: {done.stdout.strip()}")
    unfinished.rename(to)


def has(tag: str) -> bool:
    """Whether an image of this name has been built here."""
    return _buildah("inspect", "--type", "image", tag).returncode == 0


def clean() -> None:
    """Take away everything that buildah has written and mounted."""
    for mounted in reversed(mounted_under(_home(), Path("/proc/self/mounts").read_text(encoding="utf-8"))):
        subprocess.run(["umount", "--lazy", mounted], check=False, capture_output=True)
    shutil.rmtree(_home(), ignore_errors=True)


def mounted_under(folder: Path, table: str) -> list[str]:
    """The mount points in ``folder``, outer ones first, from the text of /proc/self/mounts."""
    points = [line.split(" ")[1].replace("\\040", " ") for line in table.splitlines()]
    return sorted(point for point in points if Path(point).is_relative_to(folder))


def _home() -> Path:
    return layout.cache() / "buildah"


def _buildah(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run buildah; what it says, on either stream, is in the result's stdout."""
    return subprocess.run(
        ["buildah", *_storage(_driver()), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        env=_environment(),
        check=False,
        encoding="utf-8",
        errors="replace",
    )


@functools.cache
def _driver() -> str:
    """overlay where the kernel and the file system below the cache allow it; vfs copies whole layers, and works everywhere."""
    packages.need("buildah", usual_s=30)
    probe = ["buildah", *_storage("overlay"), "images", "--quiet"]
    works = subprocess.run(probe, capture_output=True, env=_environment(), check=False).returncode == 0
    return "overlay" if works else "vfs"


def _storage(driver: str) -> Sequence[str]:
    return ["--root", str(_home() / "root"), "--runroot", str(_home() / "run"), "--storage-driver", driver]


def _environment() -> dict[str, str]:
    temporary = _home() / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    return os.environ | {"TMPDIR": str(temporary)}
