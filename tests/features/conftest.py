"""A feature repository of a shop, and a Redis to keep its rows in."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from features.shop import Shop
from slipway_testing.redis_server import RedisServer


@pytest.fixture(scope="session")
def _server() -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory(prefix="slipway-") as folder, RedisServer(Path(folder), password="s3cret") as running:
        yield running


@pytest.fixture
def server(_server: RedisServer) -> Iterator[RedisServer]:
    """Running and empty."""
    yield _server
    _server.stop()
    _server.start()


@pytest.fixture
def shop(server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Defined and applied, nothing materialised."""
    made = Shop(tmp_path / "shop", server.url)
    monkeypatch.chdir(made.folder)  # where the DuckDB store looks for relative paths
    made.apply()
    return made


def pytest_configure(config: pytest.Config) -> None:
    # What Feast and ibis call of DuckDB 2 and pandas, and Slipway does not.
    config.addinivalue_line("filterwarnings", "ignore:fetch_arrow_table:DeprecationWarning")
    config.addinivalue_line("filterwarnings", "ignore:Could not infer format:UserWarning")
