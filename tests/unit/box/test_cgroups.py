"""The control group of the box, in a folder that plays /sys/fs/cgroup."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slipway_box import cgroups
from slipway_box.kubelet import CGROUP


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The box's group with two pods in it."""
    monkeypatch.setattr(cgroups, "_ROOT", tmp_path)
    (tmp_path / "cgroup.controllers").write_text("cpu memory")
    for pod in ("pod1", "pod2"):
        (tmp_path / CGROUP / "kubepods" / pod).mkdir(parents=True)
    return tmp_path / CGROUP


def test_everything_goes_the_deepest_first(top: Path) -> None:
    assert cgroups.remove() == []
    assert not top.exists()


def test_a_group_that_goes_while_it_is_looked_at_is_no_trouble(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look = os.scandir

    def going(path: Any) -> Iterator[os.DirEntry[str]]:
        if str(path).endswith("pod1"):
            os.rmdir(path)
        return look(path)

    monkeypatch.setattr(os, "scandir", going)

    assert cgroups.remove() == []
    assert not top.exists()


def test_what_cannot_go_is_told(top: Path) -> None:
    (top / "kubepods" / "pod2" / "busy").write_text("")

    assert cgroups.remove() == [str(top / "kubepods" / "pod2"), str(top / "kubepods"), str(top)]
