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


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, for a socket's path has at most 107 bytes; open to the user of nginx."""
    with tempfile.TemporaryDirectory(prefix="slipway-") as made:
        Path(made).chmod(0o777)
        yield Path(made)


@pytest.fixture
def router(folder: Path) -> Iterator[Router]:
    with Router(folder) as running:
        yield running
