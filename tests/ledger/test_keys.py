"""The key of hashes: made for new data, and for no other."""

from pathlib import Path

from ledger.conftest import Start
from ledger.harness import Ledger, exposure
from slipway_testing.postgres_server import PostgresServer

NEW = "made a new key of hashes"


def test_a_key_is_made_for_a_new_sqlite_file_and_kept(start: Start, tmp_path: Path) -> None:
    ledger = start(key_file=tmp_path / "made")
    ledger.register()
    ledger.expose(exposure("ada"))
    key = (tmp_path / "made").read_bytes()
    assert ledger.end() == 0
    ledger.start()
    ledger.expose(exposure("ada"))

    assert (tmp_path / "made").read_bytes() == key
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o600
    assert ledger.log.count(NEW) == 1
    assert key.decode().strip() not in ledger.log
    assert ledger.sums()["units"][0]["units"] == "1"


def test_no_key_is_made_for_data_that_another_one_hashed(start: Start, tmp_path: Path) -> None:
    ledger = start()
    assert ledger.end() == 0
    (tmp_path / "key").unlink()
    ledger.start(wait=False)

    assert ledger.wait() == 2
    assert f"there is no key of hashes in {tmp_path / 'key'}, and {tmp_path / 'ledger.db'} has data" in ledger.log
    assert not (tmp_path / "key").exists()


def test_no_key_is_made_beside_postgresql(postgres: PostgresServer, tmp_path: Path) -> None:
    """Its data may be older than this machine's disk."""
    ledger = Ledger(tmp_path, postgres.database(), key_file=tmp_path / "nothing")
    ledger.start(wait=False)

    assert ledger.wait() == 2
    assert f"the key of hashes cannot be read from {tmp_path / 'nothing'}" in ledger.log
    assert not (tmp_path / "nothing").exists()
