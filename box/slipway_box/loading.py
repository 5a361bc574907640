"""Images into containerd, from an archive file: the box has no registry to pull from."""

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

from slipway_box import containerd, images, machine
from slipway_box.errors import BoxError
from slipway_box.progress import step
from slipway_box.site import Site

_NAMESPACE = "k8s.io"  # the one that the kubelet sees
_BYTES_PER_S = 50e6  # about what unpacking into the overlay takes on the disks we saw


LOADED = ": loaded"
"""How the line about an image ends that was not there before."""


@dataclass(frozen=True)
class Contents:
    """What a docker-archive says about itself: the image's id, and the full names it gives to that image."""

    identity: str
    names: tuple[str, ...]


def load(site: Site, wanted: str) -> str:
    """Bring one of Slipway's images, or an archive file, into containerd; what was done, in a line.

    An image whose id is already there under the same name is left alone.
    """
    archive = Path(wanted) if Path(wanted).is_file() else images.archive(wanted)
    contents = read(archive)
    if present(site, contents):
        return f"{', '.join(contents.names)}: already there"
    with step(f"loading {', '.join(contents.names)}", usual_s=archive.stat().st_size / _BYTES_PER_S):
        _ctr(site, "images", "import", str(archive))
    return f"{', '.join(contents.names)}{LOADED}"


def read(archive: Path) -> Contents:
    """The contents of a docker-archive.

    Raises BoxError when ``archive`` is something else.
    """
    try:
        with tarfile.open(archive) as opened:
            member = opened.extractfile("manifest.json")
            manifest = json.loads(member.read()) if member else []
        names = tuple(full_name(name) for image in manifest for name in image["RepoTags"] or ())
        identity = Path(manifest[0]["Config"]).name.removesuffix(".json")
    except (OSError, KeyError, IndexError, ValueError, tarfile.TarError) as error:
        raise BoxError(
            f"{archive} is not a docker-archive file ({error}); make one with `docker save` or `buildah push IMAGE docker-archive:FILE`."
        ) from error
    return Contents(identity=identity, names=names)


def full_name(reference: str) -> str:
    """As containerd knows it: slipway/operator:0.1.0 -> docker.io/slipway/operator:0.1.0."""
    first, slash, _ = reference.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return reference
    return f"docker.io/{reference}" if slash else f"docker.io/library/{reference}"


def present(site: Site, contents: Contents) -> bool:
    """Whether every name of the image is there and means the same as the image's id, which is a name there too."""
    if not contents.names:
        return False
    digests = known(_ctr(site, "images", "list"))
    own = digests.get(f"sha256:{contents.identity}")
    return own is not None and all(digests.get(name) == own for name in contents.names)


def known(listing: str) -> dict[str, str]:
    """Digest of each name, from the table that `ctr images list` prints."""
    rows = [line.split() for line in listing.splitlines()[1:]]
    return {row[0]: row[2] for row in rows if len(row) > 2}


def _ctr(site: Site, *arguments: str) -> str:
    return machine.run("ctr", "--address", str(containerd.socket(site)), "--namespace", _NAMESPACE, *arguments)
