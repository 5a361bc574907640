"""A router for each test; nginx is installed where it is missing."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.harness import Router
from slipway_box import packages

PACKAGES = ("nginx-light", "libnginx-mod-http-lua", "lua-cjson")


@pytest.fixture(scope="session", autouse=True)
def nginx() -> None:
    if not shutil.which("nginx"):
        packages.need(*PACKAGES)


def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="slipway-") as made:
        Path(made).chmod(0o777)
        yield Path(made)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, for a socket's path has at most 107 bytes; open to the user of nginx."""
    yield from _folder()


@pytest.fixture(scope="module")
def lasting_folder() -> Iterator[Path]:
    """One for all tests of a module."""
    yield from _folder()


@pytest.fixture
def router(folder: Path) -> Iterator[Router]:
    with Router(folder) as running:
        yield running
