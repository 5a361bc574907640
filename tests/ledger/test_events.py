"""What becomes of exposures, outcomes and labels, one claim a test, on both databases."""

import json
from typing import Any

import pytest

from ledger.harness import APPLICATION, CHECKOUT, READER, Ledger, at, exposure, outcome

HOUR = 3600


def bought(ledger: Ledger, arm: str = "control", phase: str = "open") -> dict[str, Any]:
    """The sums of the one metric in an arm's only stratum."""
    [group] = [group for group in ledger.sums()["metrics"][0]["sums"] if group["arm"] == arm]
    found: dict[str, Any] = group[phase]
    return found


def counts(ledger: Ledger) -> dict[str, str]:
    """The tallies that are not 0."""
    return {name: count for name, count in ledger.sums()["counts"].items() if count != "0"}


def test_the_earliest_exposure_counts_whichever_came_first(ledger: Ledger) -> None:
    ledger.expose(exposure("ada", "challenger", -500))
    ledger.observe(outcome("ada", seconds=-700))
    ledger.expose(exposure("ada", "control", -1000))

    assert [(group["arm"], group["units"]) for group in ledger.sums()["units"]] == [("control", "1"), ("challenger", "0")]
    assert bought(ledger)["totals"][0] == "1"
    assert counts(ledger) == {"seenInTwoArms": "1", "repeats": "1"}


def test_a_unit_first_seen_waiting_never_counts(ledger: Ledger) -> None:
    ledger.expose(exposure("ada", "waiting", -1000), exposure("bob", "waiting", -1000))
    ledger.expose(exposure("ada", "control", -500))
    ledger.observe(outcome("ada", seconds=-400))

    assert ledger.sums()["units"] == []
    assert counts(ledger) == {"notCounted": "2", "waiting": "1", "repeats": "1"}


def test_an_outcome_waits_for_its_exposure(ledger: Ledger) -> None:
    ledger.observe(outcome("ada", seconds=-900))
    ledger.expose(exposure("ada", seconds=-1000))

    assert bought(ledger)["totals"][0] == "1"


def test_outcomes_at_the_ends_of_a_window(ledger: Ledger) -> None:
    ledger.expose(*(exposure(unit, seconds=-2 * HOUR) for unit in ("before", "first", "last", "late")))
    ledger.observe(
        outcome("before", seconds=-2 * HOUR - 1),
        outcome("first", seconds=-2 * HOUR),
        outcome("last", seconds=-HOUR - 0.000001),
        outcome("late", seconds=-HOUR),
    )

    assert bought(ledger, phase="closed") == {"units": "4", "totals": ["2", "0"], "products": ["2", "0", "0"]}
    assert ledger.sums()["metrics"][0]["late"] == "1"


def test_the_covariate_is_what_came_before_within_its_days(start: Any, database: str) -> None:
    ledger = start(database)
    ledger.register(metrics=[{"name": "revenue", "type": "Mean", "windowSeconds": HOUR, "cuped": {"days": 2}}])
    ledger.expose(exposure("ada", seconds=-1000))
    ledger.observe(
        *(
            outcome("ada", value, seconds, "revenue")
            for value, seconds in ((0.1, -1001), (0.2, -1000 - 2 * 86_400), (0.4, -1001 - 2 * 86_400), (3, -1000))
        )
    )

    [group] = ledger.sums()["metrics"][0]["sums"]
    assert group["open"] == {"units": "1", "totals": ["3", "0.3"], "products": ["9", "0.9", "0.09"]}


def test_a_ratio_has_all_its_products(start: Any, database: str) -> None:
    ledger = start(database)
    ledger.register(metrics=[{"name": "clicks", "type": "Ratio", "denominator": "views", "windowSeconds": HOUR, "cuped": {"days": 1}}])
    ledger.expose(exposure("ada", seconds=-1000))
    ledger.observe(
        outcome("ada", 2, -900, "clicks"), outcome("ada", 3, -900, "views"), outcome("ada", 5, -2000, "clicks"), outcome("ada", 7, -2000, "views")
    )

    [group] = ledger.sums()["metrics"][0]["sums"]
    products = ["4", "6", "10", "14", "9", "15", "21", "25", "35", "49"]  # of 2, 3, 5, 7, row by row
    assert group["open"] == {"units": "1", "totals": ["2", "3", "5", "7"], "products": products}


def test_a_key_counts_once_and_refuses_other_content(ledger: Ledger) -> None:
    ledger.expose(exposure("ada"))
    first = outcome("ada", idempotencyKey="order-1")
    assert ledger.observe(first) == {"accepted": 1, "duplicates": 0, "refused": []}
    assert ledger.observe(first, first) == {"accepted": 0, "duplicates": 2, "refused": []}

    answer = ledger.post("/v1/outcomes", [first | {"value": 2}], APPLICATION)

    assert (answer.status, [refused["reason"] for refused in answer.said["refused"]]) == (422, ["conflict"])
    assert bought(ledger)["totals"][0] == "1"
    assert counts(ledger) == {"duplicates": "2", "conflicts": "1"}


def test_without_a_key_the_content_is_it(ledger: Ledger) -> None:
    assert ledger.observe(outcome("ada"), outcome("ada"), outcome("ada", seconds=-899))["duplicates"] == 1


def test_outcomes_by_request(ledger: Ledger) -> None:
    early, late = ({"requestId": request} | {k: v for k, v in outcome("", seconds=-900).items() if k != "unit"} for request in ("r-1", "r-2"))
    ledger.observe(early)
    ledger.expose(exposure("ada", requestId="r-1"), exposure("bob", requestId="r-2"))
    ledger.observe(late)

    assert bought(ledger) == {"units": "2", "totals": ["2", "0"], "products": ["2", "0", "0"]}
    assert ledger.observe(early, late)["duplicates"] == 2


def test_good_events_of_a_batch_are_taken(ledger: Ledger) -> None:
    wrong: list[Any] = [
        outcome("ada") | {"value": "1"},
        outcome("ada") | {"value": None},
        outcome("ada") | {"value": 1e10},
        outcome("ada", metric="unknown"),
        outcome("ada", seconds=3600 * 24),
        outcome("ada") | {"time": "2026-11-29T12:00:00"},
        outcome("ada") | {"more": 1},
        outcome("ada") | {"experiment": "shop/other"},
        outcome("ada") | {"service": "shop/checkout"},
        outcome("ada") | {"requestId": "r"},
        outcome("u" * 257),
        7,
    ]
    ledger.expose(exposure("ada"))

    answer = ledger.post("/v1/outcomes", [*wrong, outcome("ada")], APPLICATION).said

    words = ["event"] * 3 + ["metric", "time", "event", "event", "experiment", "target", "unit", "event", "event"]
    assert [(refused["index"], refused["reason"]) for refused in answer["refused"]] == list(enumerate(words))
    assert (answer["accepted"], bought(ledger)["totals"][0]) == (1, "1")
    assert counts(ledger) == {"unknownMetric": "1", "skewed": "1"}
    assert ledger.sums()["ledger"] == {"unknownExperiment": "1"}


def test_an_arm_that_is_not_there_is_refused(ledger: Ledger) -> None:
    answer = ledger.post("/v1/exposures", exposure("ada", "treatment"))

    assert (answer.status, answer.said["refused"][0]["reason"]) == (422, "arm")
    assert "control, challenger" in answer.said["refused"][0]["error"]


def test_strata_are_bounded(ledger: Ledger) -> None:
    answer = ledger.expose(*(exposure(f"u-{number}", stratum=f"s-{number}") for number in range(101)))

    assert (answer["accepted"], [refused["reason"] for refused in answer["refused"]]) == (100, ["strata"])


def test_json_lines(ledger: Ledger) -> None:
    lines = "\n".join(json.dumps(event) for event in (outcome("ada"), outcome("bob"))) + "\n{\n"

    answer = ledger.post("/v1/outcomes", lines.encode(), APPLICATION, content_type="application/x-ndjson")

    assert (answer.said["accepted"], [refused["index"] for refused in answer.said["refused"]]) == (2, [2])


def cloud_event(number: int, **data: Any) -> dict[str, Any]:
    """A structured one; its time stands beside the data."""
    found = {name: value for name, value in outcome("ada", **data).items() if name != "time"}
    return {"specversion": "1.0", "id": f"id-{number}", "source": "/shop", "type": "dev.slipway.outcome", "time": at(-900), "data": found}


def test_cloud_events_in_all_three_forms(ledger: Ledger) -> None:
    ledger.expose(exposure("ada"))
    one, two, three = (cloud_event(number) for number in range(3))
    headers = {f"ce_{name}": three[name] for name in ("specversion", "id", "source", "type", "time")}

    structured = ledger.post("/v1/outcomes", one, APPLICATION, content_type="application/cloudevents+json")
    batch = ledger.post("/v1/outcomes", [one, two, two | {"type": "other"}], APPLICATION, content_type="application/cloudevents-batch+json")
    binary = ledger.post("/v1/outcomes", three["data"], APPLICATION, content_type="application/json", **headers)

    told = [answer.said for answer in (structured, batch, binary)]
    assert [(said["accepted"], said["duplicates"], len(said["refused"])) for said in told] == [(1, 0, 0), (1, 1, 1), (1, 0, 0)]
    assert bought(ledger)["totals"][0] == "1"


def test_labels_are_found_by_their_requests(ledger: Ledger) -> None:
    labels = [{"experiment": "shop/checkout", "requestId": f"r-{n}", "label": label, "time": at(-n)} for n, label in enumerate((True, "cat", 2.5))]
    assert ledger.post("/v1/labels", labels, APPLICATION).said == {"accepted": 3, "duplicates": 0, "refused": []}
    assert ledger.post("/v1/labels", labels[0], APPLICATION).said["duplicates"] == 1

    asked = {"experiment": "shop/checkout", "requestIds": ["r-2", "r-0", "r-9"]}
    found = ledger.post("/v1/labels/lookup", asked, READER).said["labels"]

    assert [(label["requestId"], label["label"]) for label in found] == [("r-2", 2.5), ("r-0", True)]


def test_a_forgotten_unit_leaves_nothing(ledger: Ledger) -> None:
    ledger.expose(exposure("bob/1"))
    ledger.observe(outcome("bob/1"))
    before = ledger.sums()
    ledger.expose(exposure("ada/1", requestId="r-1"), exposure("ada/1", "challenger", -900))
    ledger.observe(outcome("ada/1"), outcome("ada/1", seconds=-800))
    ledger.post("/v1/labels", {"experiment": "shop/checkout", "requestId": "r-1", "label": 1, "time": at(-1)})

    assert ledger.delete("/v1/units/ada%2F1").said == {"rows": 5}

    after = ledger.sums()
    assert (after["metrics"][0]["sums"], after["units"]) == (before["metrics"][0]["sums"], before["units"])
    assert after["counts"]["seenInTwoArms"] == "0"
    assert ledger.delete("/v1/units/ada%2F1").said == {"rows": 0}


def test_no_raw_unit_is_on_the_disk_or_in_the_log(start: Any, tmp_path: Any) -> None:
    ledger = start(log_level="DEBUG")
    ledger.register()
    ledger.expose(exposure("ada-lovelace", requestId="request-of-ada"))
    ledger.observe(outcome("ada-lovelace", idempotencyKey="key-of-ada"))
    ledger.delete("/v1/units/ada-lovelace")
    ledger.expose(exposure("ada-lovelace", requestId="request-of-ada"))

    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.name.startswith(("ledger.db", "stderr")))
    assert [word for word in (b"ada-lovelace", b"request-of-ada", b"key-of-ada") if word in stored] == []


@pytest.mark.parametrize("kind", ["exposures", "outcomes", "labels"])
def test_an_empty_batch_is_nothing(ledger: Ledger, kind: str) -> None:
    assert ledger.post(f"/v1/{kind}", []).said == {"accepted": 0, "duplicates": 0, "refused": []}


def test_what_was_counted_survives_a_restart(ledger: Ledger) -> None:
    ledger.expose(exposure("ada", stratum="10"), exposure("bob", "challenger", requestId="r"))
    ledger.observe(outcome("ada", 1), outcome("bob", metric="bought"))
    ledger.post("/v1/outcomes", outcome("ada", metric="unknown"))
    before = ledger.sums()

    assert ledger.end() == 0
    ledger.start()

    after = ledger.sums()
    assert {name: value for name, value in after.items() if name not in ("now", "metrics")} == {
        name: value for name, value in before.items() if name not in ("now", "metrics")
    }
    assert after["metrics"][0]["sums"] == before["metrics"][0]["sums"]
    assert ledger.get(CHECKOUT).said == before_definition()


def before_definition() -> dict[str, Any]:
    """As it is registered in these tests."""
    return {"arms": ["control", "challenger"], "metrics": [{"name": "bought", "type": "Proportion", "windowSeconds": 3600}]}
