"""What of the machine's apt a build can read."""

from pathlib import Path

import pytest

from slipway_box import apt_access


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    for folder in ("etc/apt/sources.list.d", "etc/apt/apt.conf.d", "usr/share/keyrings"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "etc/os-release").write_text("ID=debian\nVERSION_CODENAME=bookworm\n")
    return tmp_path


def test_what_is_there_is_mounted_where_it_is(machine: Path) -> None:
    places = ("/etc/apt/sources.list.d", "/etc/apt/apt.conf.d", "/usr/share/keyrings")
    assert apt_access.mounts(machine) == {machine / place[1:]: place for place in places}


@pytest.mark.parametrize("release", ["ID=debian\nVERSION_CODENAME=trixie\n", "ID=fedora\n", None])
def test_another_systems_apt_is_of_no_use(machine: Path, release: str | None) -> None:
    (machine / "etc/os-release").unlink()
    if release:
        (machine / "etc/os-release").write_text(release)
    assert apt_access.mounts(machine) == {}
