"""What is in an image archive, and whether containerd has it."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from slipway_box import loading
from slipway_box.errors import BoxError


def archive(path: Path, manifest: object) -> Path:
    content = json.dumps(manifest).encode()
    with tarfile.open(path, "w") as opened:
        member = tarfile.TarInfo("manifest.json")
        member.size = len(content)
        opened.addfile(member, io.BytesIO(content))
    return path


def test_an_archive_tells_id_and_names(tmp_path: Path) -> None:
    written = archive(tmp_path / "a.tar", [{"Config": "ab12.json", "RepoTags": ["slipway/pause:0.1.0"], "Layers": []}])
    assert loading.read(written) == loading.Contents(identity="ab12", names=("docker.io/slipway/pause:0.1.0",))


@pytest.mark.parametrize("manifest", [[], {}, [{"RepoTags": None}]])
def test_something_else_is_told_with_the_way_out(tmp_path: Path, manifest: object) -> None:
    with pytest.raises(BoxError, match="is not a docker-archive file"):
        loading.read(archive(tmp_path / "a.tar", manifest))


def test_a_file_that_is_no_archive_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_text("text")
    with pytest.raises(BoxError, match="docker save"):
        loading.read(tmp_path / "a.tar")


@pytest.mark.parametrize(
    ("reference", "full"),
    [
        ("slipway/operator:0.1.0", "docker.io/slipway/operator:0.1.0"),
        ("busybox:1", "docker.io/library/busybox:1"),
        ("registry.example/someone/thing:2", "registry.example/someone/thing:2"),
        ("localhost/thing:2", "localhost/thing:2"),
        ("localhost:5000/thing:2", "localhost:5000/thing:2"),
    ],
)
def test_names_are_completed_as_containerd_does(reference: str, full: str) -> None:
    assert loading.full_name(reference) == full


def test_the_listing_gives_a_digest_for_every_name() -> None:
    listing = (
        "REF TYPE DIGEST SIZE PLATFORMS LABELS\n"
        "docker.io/slipway/pause:0.1.0 application/vnd.oci.image.manifest.v1+json sha256:11 1.9 MiB linux/amd64 io.cri-containerd.image=managed\n"
        "sha256:ab12 application/vnd.oci.image.manifest.v1+json sha256:11 1.9 MiB linux/amd64 io.cri-containerd.image=managed\n"
    )
    assert loading.known(listing) == {"docker.io/slipway/pause:0.1.0": "sha256:11", "sha256:ab12": "sha256:11"}
