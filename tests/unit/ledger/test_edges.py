"""What is read at the edges: tokens, keys, settings, events, CloudEvents, paths, migrations, the document."""

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from slipway_ledger import cloudevents, definitions, events, openapi, routes, units
from slipway_ledger.definitions import Cuped, Definition, Metric
from slipway_ledger.events import OutcomeEvent, Reader
from slipway_ledger.refusals import Refused
from slipway_ledger.settings import Settings
from slipway_ledger.store.database import Unavailable
from slipway_ledger.store.migrations import STEPS, migrate
from slipway_ledger.store.sqlite import Sqlite
from slipway_service.variables import SettingsError

OUTCOME = {"experiment": "shop/x", "unit": "u", "metric": "m", "value": 1, "time": "2026-11-29T12:00:00+01:00"}


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_hashes_depend_on_the_key_and_on_what_is_hashed() -> None:
    one, other = units.Hashes(b"1" * 32), units.Hashes(b"2" * 32)

    made = [one.unit("u"), other.unit("u"), one.unit("v"), one.request(1, "u"), one.request(2, "u"), one.event("u"), one.event("u", 1)]

    assert len({*made}) == len(made)
    assert one.unit("u") == units.Hashes(b"1" * 32).unit("u")
    assert {len(hashed) for hashed in made} == {units.DIGEST_BYTES}


@pytest.mark.parametrize(("key", "told"), [("short", "has 5 bytes"), ("x" * 65, "has 65 bytes")])
def test_a_key_that_is_none(tmp_path: Path, key: str, told: str) -> None:
    with pytest.raises(units.NoKey, match=told):
        units.read(written(tmp_path / "key", key))
    with pytest.raises(units.NoKey, match="cannot be read"):
        units.read(tmp_path / "nothing")


def test_a_key_that_was_made_is_good_and_stays(tmp_path: Path) -> None:
    key = tmp_path / "key"

    units.make(key)
    made = key.read_text()
    units.make(key)

    assert key.read_text() == made
    assert len(bytes.fromhex(made)) == 32
    assert key.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    assert units.read(key).unit("u") == units.Hashes(made.strip().encode()).unit("u")


def test_no_two_keys_that_are_made_are_the_same(tmp_path: Path) -> None:
    for name in "ab":
        units.make(tmp_path / name)
    assert (tmp_path / "a").read_text() != (tmp_path / "b").read_text()


def test_a_key_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(units.NoKey, match=r"cannot be written to .*nowhere/key: No such file or directory"):
        units.make(tmp_path / "nowhere" / "key")


@pytest.mark.parametrize(
    ("environment", "server"),
    [
        ({}, ""),
        ({"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "6443"}, "https://10.96.0.1:6443"),
        ({"KUBERNETES_SERVICE_HOST": "fd00::1"}, "https://[fd00::1]:443"),
        ({"KUBERNETES_SERVICE_HOST": "10.96.0.1", "SLIPWAY_KUBE_SERVER": "https://other:1"}, "https://other:1"),
    ],
)
def test_a_pod_asks_its_own_cluster_s_api_server(environment: dict[str, str], server: str) -> None:
    assert Settings.from_environment(environment).kube_server == server


def test_settings_are_read_and_every_wrong_one_is_told() -> None:
    assert Settings.from_environment({"SLIPWAY_PORT": "1234", "SLIPWAY_LATE_DAYS": "2.5", "SLIPWAY_DATABASE": ""}) == Settings(
        port=1234, late_days=2.5
    )
    for server in ("http://10.96.0.1", "10.96.0.1:443", "https://10.96.0.1/api", "https://"):
        with pytest.raises(SettingsError, match=r"SLIPWAY_KUBE_SERVER is .* it should be https://host:port"):
            Settings.from_environment({"SLIPWAY_KUBE_SERVER": server})
    with pytest.raises(SettingsError, match=r"SLIPWAY_BODY_BYTES is '0'.*SLIPWAY_SKEW_SECONDS is 'nan'.*SLIPWAY_LOG_LEVEL is 'LOUD'"):
        Settings.from_environment({"SLIPWAY_BODY_BYTES": "0", "SLIPWAY_SKEW_SECONDS": "nan", "SLIPWAY_LOG_LEVEL": "LOUD"})
    assert "of-the-user" not in repr(Settings(database_password="of-the-user"))


def test_times_are_kept_to_the_microsecond_and_know_their_offset() -> None:
    found = Reader(OutcomeEvent).one(json.dumps(OUTCOME | {"time": "2026-11-29T12:00:00.000001+01:00"}).encode())

    assert isinstance(found, OutcomeEvent)
    assert events.microseconds(found.time) == 1_795_950_000_000_001
    assert events.moment(1_795_950_000_000_001) == found.time


def test_one_bad_event_does_not_spoil_the_others() -> None:
    found = Reader(OutcomeEvent).array(json.dumps([OUTCOME, OUTCOME | {"value": "1"}, OUTCOME]).encode())

    assert [isinstance(event, OutcomeEvent) for event in found] == [True, False, True]
    assert found[1] == "it is no event: Expected `float`, got `str` - at `$.value`"


def test_a_cloud_event_s_source_and_id_are_its_key() -> None:
    event = {"specversion": "1.0", "type": cloudevents.TYPE, "source": "/s", "id": "7", "data": OUTCOME, "extension": 1}
    [structured] = cloudevents.structured(json.dumps(event).encode())
    headers = {"ce-specversion": "1.0", "ce-type": cloudevents.TYPE, "ce-source": "/s", "ce-id": "7"}
    [binary] = cloudevents.binary(headers.get, json.dumps(OUTCOME).encode())

    assert isinstance(structured, OutcomeEvent)
    assert structured.idempotency_key == "/s 7"
    assert structured == binary


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"specversion": "0.3"}, "specversion 1.0"),
        ({"type": "x"}, "its type should be"),
        ({"data": 1}, "it is no CloudEvent"),
        ({"id": None}, "it is no CloudEvent"),
    ],
)
def test_what_is_no_cloud_event(changes: dict[str, Any], told: str) -> None:
    event = {"specversion": "1.0", "type": cloudevents.TYPE, "source": "/s", "id": "7", "data": OUTCOME} | changes
    [found] = cloudevents.batch(json.dumps([event]).encode())
    assert isinstance(found, str)
    assert told in found


def test_only_caps_that_are_not_there_may_be_added() -> None:
    mean = Metric(name="m", type="Mean", window_seconds=1, cuped=Cuped(days=1))
    old = Definition(arms=("a", "b"), metrics=(mean, msgspec.structs.replace(mean, name="n")))
    new = msgspec.structs.replace(old, metrics=(old.metrics[0], msgspec.structs.replace(old.metrics[1], cap=2.0)))

    assert definitions.changed(old, old, name="x") == ()
    assert definitions.changed(old, new, name="x") == (1,)
    for other in (msgspec.structs.replace(new, metrics=(new.metrics[0], msgspec.structs.replace(new.metrics[1], cap=3.0))), old):
        with pytest.raises(Refused, match="stays as it is"):
            definitions.changed(new, other, name="x")
    for other in (msgspec.structs.replace(old, arms=("b", "a")), msgspec.structs.replace(old, metrics=old.metrics[:1])):
        with pytest.raises(Refused):
            definitions.changed(old, other, name="x")


def test_paths_lead_to_routes() -> None:
    route, names = routes.find("GET", "/v1/experiments/shop/x/metrics/m/quantile")
    assert (route.name, names) == ("quantile", {"namespace": "shop", "name": "x", "metric": "m"})
    assert routes.find("DELETE", "/v1/units/a/b c")[1] == {"unit": "a/b c"}
    with pytest.raises(Refused, match="use PUT, GET, DELETE"):
        routes.find("POST", "/v1/experiments/shop/x")
    for path in ("/v1/experiments//x", "/v1/units/", "/v1", ""):
        with pytest.raises(Refused, match="nothing at this path"):
            routes.find("GET", path)


def test_the_document_has_every_route_and_resolves() -> None:
    text = msgspec.json.encode(openapi.DOCUMENT).decode()
    assert {(method.upper(), path) for path, found in openapi.DOCUMENT["paths"].items() for method in found} == {
        (r.method, r.path) for r in routes.ROUTES
    }
    schemas = openapi.DOCUMENT["components"]["schemas"]
    assert set(schemas) >= {"Definition", "ExposureEvent", "OutcomeEvent", "LabelEvent"}
    for word in text.split('"$ref":"')[1:]:
        assert word.partition('"')[0].removeprefix("#/components/schemas/") in schemas


def test_migrations_go_forward_from_every_version(tmp_path: Path) -> None:
    steps = (*STEPS, ("ALTER TABLE unit ADD COLUMN more {whole}",))
    database = Sqlite(tmp_path / "db")
    assert migrate(database) == 0
    database.execute("INSERT INTO look (experiment, sequence, body) VALUES (1, 1, 'kept')")
    assert migrate(database) == len(STEPS)
    assert migrate(database, steps) == len(STEPS)
    assert database.execute("SELECT body FROM look") == [("kept",)]
    assert database.execute("SELECT number FROM version ORDER BY number") == [(number,) for number in range(1, len(steps) + 1)]
    with pytest.raises(Unavailable, match=f"of version {len(steps)} and this ledger knows {len(STEPS)}"):
        migrate(database)
    database.close()


def test_a_step_that_fails_leaves_nothing_of_it(tmp_path: Path) -> None:
    database = Sqlite(tmp_path / "db")
    with pytest.raises(Unavailable):
        migrate(database, (("CREATE TABLE one (at {whole})", "CREATE TABLE one (at {whole})"),))
    database.rollback()
    assert migrate(database, (("CREATE TABLE one (at {whole})",),)) == 0
    database.close()


def test_one_ledger_at_a_time_has_a_file(tmp_path: Path) -> None:
    first, second = Sqlite(tmp_path / "db"), Sqlite(tmp_path / "db")
    migrate(first)
    with pytest.raises(Unavailable, match="run one at a time"):
        second.begin()
    first.close()
    migrate(second)
    second.close()


def test_a_disk_that_is_full_is_told(tmp_path: Path) -> None:
    database = Sqlite(tmp_path / "db")
    migrate(database)
    [(pages,)] = database.execute("PRAGMA page_count")
    database.execute(f"PRAGMA max_page_count={pages}")
    database.begin()
    looks = [(number, 1, os.urandom(500).hex()) for number in range(1000)]
    with pytest.raises(Unavailable, match="full"):
        database.put("look", ("experiment", "sequence", "body"), looks, key=("experiment", "sequence"))
    database.rollback()
    assert database.execute("SELECT COUNT(*) FROM look") == [(0,)]
    database.close()


def test_every_commit_is_written_through(tmp_path: Path) -> None:
    database = Sqlite(tmp_path / "db")
    migrate(database)
    assert database.execute("PRAGMA journal_mode") == [("wal",)]
    assert database.execute("PRAGMA synchronous") == [(2,)]
    database.close()
