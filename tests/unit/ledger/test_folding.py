"""The same events in any order, in any groups, some of them twice: the same rows and sums, and those of one pass over the events."""

import contextlib
import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import reference
from slipway_ledger import folding, intake, reading, registry
from slipway_ledger.account import Unit
from slipway_ledger.book import Book
from slipway_ledger.definitions import Definition, parse
from slipway_ledger.events import ExposureEvent, OutcomeEvent, Reader, microseconds
from slipway_ledger.retention import DAY, Sweep
from slipway_ledger.store.migrations import migrate
from slipway_ledger.store.rows import Rows
from slipway_ledger.store.sqlite import Sqlite
from slipway_ledger.units import Hashes

ZERO = datetime(2026, 11, 1, tzinfo=UTC)
NOW = ZERO + timedelta(days=2)
DEFINITION: dict[str, Any] = {
    "arms": ["a", "b"],
    "metrics": [
        {"name": "bought", "type": "Proportion", "windowSeconds": 40, "cuped": {"days": 1}},
        {"name": "spent", "type": "Mean", "windowSeconds": 150_000, "cuped": {"days": 1}, "cap": 3.5},
        {"name": "bought.share", "type": "Ratio", "denominator": "spent", "windowSeconds": 60},
    ],
}
SECONDS = st.integers(0, 120)
EXPOSURE = st.fixed_dictionaries(
    {"unit": st.sampled_from("uvw"), "arm": st.sampled_from(["a", "b", "waiting"]), "stratum": st.sampled_from("12"), "time": SECONDS},
    optional={"requestId": st.just("")},
)
OUTCOME = st.fixed_dictionaries(
    {
        "unit": st.sampled_from("uvw"),
        "metric": st.sampled_from(["bought", "spent", "bought.share"]),
        "value": st.sampled_from([0, 1, -1.5, 2.25, 7]),
        "time": st.integers(-90_000, 130),
    }
)


class Ledger:
    """The parts that fold, on SQLite."""

    def __init__(self, path: Path, definition: Any = DEFINITION) -> None:
        self.rows = Rows(Sqlite(path))
        migrate(self.rows.database)
        self.rows.database.execute("PRAGMA synchronous=OFF")
        self.book = self.rows.load()
        self.definition: Definition = parse(json.dumps(definition).encode())
        self.do(lambda: registry.register(self.book, self.rows, namespace="shop", name="x", definition=self.definition, now=0))

    def do(self, work: Any) -> Any:
        """In a transaction."""
        self.rows.database.begin()
        found = work()
        self.rows.save_changes(self.book)
        self.rows.database.commit()
        return found

    def fold(self, exposures: Sequence[Any], outcomes: Sequence[Any]) -> list[str]:
        """Take events; what was said of each."""
        door = intake.Door(book=self.book, hashes=Hashes(b"0" * 32), namespaces=None, now=microseconds(NOW), tolerance_s=0)
        met = door.exposures(Reader(ExposureEvent).array(json.dumps(list(exposures)).encode()))
        did = door.outcomes(Reader(OutcomeEvent).array(json.dumps(list(outcomes)).encode()))
        assert not [event for event in (*met, *did) if isinstance(event, intake.No)]
        self.do(lambda: folding.fold(self.book, self.rows, exposures=met, outcomes=did, labels=()))  # type: ignore[arg-type]
        return [event.said for event in (*met, *did) if not isinstance(event, intake.No)]

    def sums(self) -> Any:
        """At ``NOW``."""
        return self.do(lambda: reading.sums(self.book, self.rows, namespace="shop", name="x", now=microseconds(NOW)))

    def close(self) -> None:
        """Let go of the file."""
        self.rows.database.close()


def at(event: dict[str, Any], number: int) -> dict[str, Any]:
    """With its time, and a request id of its own where it has one."""
    own = {"requestId": f"r{number}"} if "requestId" in event else {}
    return event | {"experiment": "shop/x", "time": (ZERO + timedelta(seconds=event["time"])).isoformat()} | own


@given(st.lists(EXPOSURE, max_size=8), st.lists(OUTCOME, max_size=10), st.randoms(use_true_random=False), st.booleans())
@settings(max_examples=150)
def test_the_order_of_events_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, met: list[Any], did: list[Any], draws: random.Random, closes: bool
) -> None:
    exposures = [at(event, number) for number, event in enumerate(met)]
    outcomes = [at(event, number) | {"idempotencyKey": str(number)} for number, event in enumerate(did)]
    named = [event for event in exposures if "requestId" in event]
    told = list(outcomes)
    for number, event in enumerate(named[:3]):
        more = {
            "experiment": "shop/x",
            "metric": "spent",
            "value": 2,
            "time": (ZERO + timedelta(seconds=50)).isoformat(),
            "idempotencyKey": f"r{number}",
        }
        outcomes.append(more | {"requestId": event["requestId"]})
        told.append(more | {"unit": event["unit"]})
    sent = [("exposure", event) for event in exposures] + [("outcome", event) for event in outcomes]
    sent += draws.sample(sent, len(sent) // 3)
    draws.shuffle(sent)
    with contextlib.closing(Ledger(tmp_path_factory.mktemp("folding") / "db")) as ledger:
        while sent:
            size = draws.randint(1, 4)
            group, sent = sent[:size], sent[size:]
            ledger.fold([event for kind, event in group if kind == "exposure"], [event for kind, event in group if kind == "outcome"])
            if closes:
                ledger.sums()
        answer = json.loads(json_text(ledger.sums()), parse_float=str, parse_int=str)

    assert reference.said(answer) == reference.sums(DEFINITION, exposures, told, closed_at={metric["name"]: NOW for metric in DEFINITION["metrics"]})


def json_text(answer: Any) -> bytes:
    """As it is sent."""
    return msgspec.json.encode(answer)


@pytest.fixture
def ledger(tmp_path: Path) -> Any:
    """One to fold into."""
    made = Ledger(tmp_path / "db")
    yield made
    made.close()


def test_what_is_said_of_events(ledger: Ledger) -> None:
    exposure = at({"unit": "u", "arm": "a", "stratum": "1", "time": 5}, 0)
    outcome = at({"unit": "u", "metric": "spent", "value": 1, "time": 6}, 0) | {"idempotencyKey": "k"}

    assert ledger.fold([exposure], [outcome]) == ["", ""]
    assert ledger.fold([exposure], [outcome, outcome | {"value": 2}]) == ["duplicate", "duplicate", folding.CONFLICT]


def test_loading_gives_the_book_that_was_saved(ledger: Ledger) -> None:
    exposures = [at({"unit": unit, "arm": arm, "stratum": "1", "time": 5}, 0) for unit, arm in (("u", "a"), ("v", "b"), ("w", "waiting"))]
    ledger.fold(
        exposures, [at({"unit": "u", "metric": "spent", "value": 1, "time": 6}, 0), at({"unit": "u", "metric": "spent", "value": -1, "time": 7}, 0)]
    )
    ledger.sums()

    loaded: Book = ledger.rows.load()

    account, other = loaded.accounts[ledger.book.by_key["shop/x"].id], ledger.book.by_key["shop/x"]
    assert (account.sums, account.closed_to, account.strata, account.definition) == (other.sums, other.closed_to, other.strata, other.definition)
    assert {name: count for name, count in account.counts.items() if count} == {name: count for name, count in other.counts.items() if count}
    assert (loaded.streams, loaded.measures, loaded.next_id) == (ledger.book.streams, ledger.book.measures, ledger.book.next_id)


def test_windows_are_closed_in_pieces_of_any_size(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.fold([at({"unit": f"u{n}", "arm": "ab"[n % 2], "stratum": "1", "time": n // 3 / 1e6}, n) for n in range(60)], [])
    monkeypatch.setattr(reading, "PIECE", 7)
    account = ledger.book.by_key["shop/x"]
    rounds = 0
    while not ledger.do(lambda: reading.close(account, ledger.rows, now=microseconds(NOW), most=10)):
        rounds += 1

    assert rounds >= 3
    assert [total[0] for group, total in sorted(account.sums.items()) if group[3] == 1] == [30, 30] * 3


def test_what_no_experiment_needs_is_removed(ledger: Ledger) -> None:
    ledger.fold([at({"unit": "u", "arm": "a", "stratum": "1", "time": 5, "requestId": ""}, 1)], [])
    ledger.fold([], [at({"unit": unit, "metric": "spent", "value": 1, "time": time}, 0) for unit, time in (("u", -9), ("s", -9), ("s", 80_000))])
    sweep = Sweep(retention=DAY, late=DAY // 2)
    while not sweep.done:
        ledger.do(lambda: sweep.step(ledger.book, ledger.rows, now=microseconds(NOW)))

    assert sweep.removed == {"outcome": 1, "request": 1, "label": 0}
    left = [row[4] for row in ledger.rows.outcomes_of([Hashes(b"0" * 32).unit(unit) for unit in "us"])]
    assert left == [microseconds(ZERO + timedelta(seconds=second)) for second in (-9, 80_000)]


def test_a_forgotten_unit_is_as_if_it_had_never_been(ledger: Ledger) -> None:
    def events(unit: str) -> tuple[list[Any], list[Any]]:
        seen = [at({"unit": unit, "arm": arm, "stratum": "1", "time": time}, 0) for arm, time in (("a", 5), ("b", 9))]
        return seen, [at({"unit": unit, "metric": metric, "value": 2, "time": time}, 0) for metric in ("bought", "spent") for time in (-5, 6, 100)]

    ledger.fold(*events("u"))
    before = json_text(ledger.sums())
    ledger.fold(*events("v"))
    assert json_text(ledger.sums()) != before
    ledger.do(lambda: registry.forget(ledger.book, ledger.rows, unit=Hashes(b"0" * 32).unit("v")))

    after = json.loads(json_text(ledger.sums()))
    assert after["metrics"] == json.loads(before)["metrics"]
    assert after["counts"] | {"repeats": 0} == json.loads(before)["counts"] | {"repeats": 0}


def test_a_unit_s_copy_is_its_own() -> None:
    unit = Unit(account=1, unit=b"u", arm=0, stratum=0, exposed_at=1, arms=1, cells=[1])
    copy = unit.copy()
    copy.cells[0] = 2
    assert (unit.cells, copy.arms) == ([1], 1)


def test_a_restart_between_two_closings_counts_nobody_twice(ledger: Ledger) -> None:
    ledger.fold([at({"unit": "u", "arm": "a", "stratum": "1", "time": 5}, 0)], [])
    ledger.sums()
    ledger.do(lambda: reading.close(ledger.book.by_key["shop/x"], ledger.rows, now=microseconds(NOW) + DAY))
    ledger.fold([at({"unit": "v", "arm": "a", "stratum": "1", "time": 100_000}, 0)], [])
    before = json.loads(json_text(ledger.sums()))

    ledger.book = ledger.rows.load()
    ledger.do(lambda: reading.close(ledger.book.by_key["shop/x"], ledger.rows, now=microseconds(NOW) + DAY))

    assert json.loads(json_text(ledger.sums()))["metrics"] == before["metrics"]
    assert [group["closed"]["units"] for metric in before["metrics"] for group in metric["sums"]] == [2, 2, 2]
