"""Who is told to have met which arm of an experiment: everybody who did, once, with the time at which the request began."""

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import pytest

from router.harness import BODY, Load, Reply, Router, experiment, table
from router.reference import slot_of

SAME = {"experiment": "shop/ranker-v8-1a2b3c4d", "stratum": "1"}
CONTROL, V8, WAITING = 0, 1, 2
ARMS = ("control", "v8", "waiting")
UNITS = 10_000
REQUEST = b"POST /v2/models/ranker/infer HTTP/1.1\r\nHost: x\r\nx-user-id: %s\r\nContent-Length: %d\r\n\r\n"
RAMP = (
    ((5000, 0, CONTROL), (5100, 1, V8), (7500, 0, WAITING), (7600, 1, V8), (10000, 0, WAITING)),
    ((5000, 0, CONTROL), (6000, 1, V8), (7500, 0, WAITING), (8500, 1, V8), (10000, 0, WAITING)),
    ((5000, 0, CONTROL), (10000, 1, V8)),
)
"""2, 20 and 50 % of the units, taken at two places so that there are more than three runs."""


def moment(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def told(router: Router) -> list[dict[str, Any]]:
    """What was told since the last time, without the times."""
    return [{name: value for name, value in each.items() if name != "time"} for each in router.taken()["exposures"]]


def pods(router: Router) -> dict[str, Any]:
    return {"ranker-old": [router.pod()], "ranker-new": [router.pod()]}


def given(router: Router, units: Sequence[str]) -> list[str]:
    """The revisions that answer these units, asked on one connection, a hundred before the first is answered."""
    found = []
    with socket.create_connection(("127.0.0.1", router.http_port), timeout=10) as connection, connection.makefile("rb") as answers:
        for first in range(0, len(units), 100):
            asked = units[first : first + 100]
            connection.sendall(b"".join(REQUEST % (unit.encode(), len(BODY)) + BODY for unit in asked))
            found += [answered(answers) for _ in asked]
    return found


def answered(answers: IO[bytes]) -> str:
    """The revision of the next answer."""
    assert answers.readline().split()[1] == b"200"
    headers = {}
    while line := answers.readline().strip():
        name, _, value = line.partition(b": ")
        headers[name.lower()] = value
    answers.read(int(headers[b"content-length"]))
    return headers[b"x-slipway-revision"].decode()


def arm_of(unit: str, runs: Sequence[Sequence[int]]) -> int:
    """As docs/design/20261125-router.md defines it."""
    slot = slot_of("shop/ranker", unit.encode())
    return next(arm for end, _, arm in runs if slot < end)


def test_each_unit_is_told_once_as_the_ledger_takes_it(router: Router) -> None:
    serving = pods(router)
    router.serve(experiment((5000, 0, CONTROL), (10000, 1, V8)), pods=serving)
    units = [f"user-{number}" for number in range(40)]
    before = time.time()
    revisions = given(router, units)
    given(router, units * 2)
    taken = router.taken()
    # nginx has milliseconds, and looks at the clock when it is woken.
    times = [each.pop("time") for each in taken["exposures"]]
    assert all(moment(before - 0.1) <= each <= moment(time.time()) for each in times)
    assert {len(each) for each in times} == {len("2026-11-29T12:00:00.123000Z")}
    arms = ["v8" if revision == "ranker-new" else "control" for revision in revisions]
    expected = [{**SAME, "unit": unit, "arm": arm} for unit, arm in zip(units, arms, strict=True)]
    assert (taken["exposures"], taken["lost"]) == (expected, 0)
    router.serve(experiment((5000, 0, CONTROL), (10000, 1, V8), stratum="2", epoch=8), pods=serving)
    given(router, units)
    assert told(router) == []


def test_it_is_told_when_the_request_begins_and_with_that_time(router: Router) -> None:
    """An application may send an outcome the moment it is answered; one from before the exposure would be a covariate. And what takes long is told
    long before it is over: a router may be gone by then."""
    slow = router.pod(lambda _: Reply(after_s=0.5))
    router.serve(experiment((10000, 0, CONTROL)), pods={"ranker-old": [slow]})
    before = time.time()
    asking = threading.Thread(target=router.ask, kwargs={"x_user_id": "u"})
    asking.start()
    time.sleep(0.25)
    (exposure,) = router.taken()["exposures"]
    assert moment(before - 0.1) <= exposure["time"] <= moment(before + 0.2)
    asking.join()
    assert told(router) == []


def test_ten_thousand_units_through_a_ramp(router: Router) -> None:
    """Each gets the arm of its slot and is told it once; the ramp takes from those that wait and from nobody else."""
    units = [f"user-{number}" for number in range(UNITS)]
    serving = pods(router)
    for pod in router.pods:
        pod.keep_seen = False
    found: list[dict[str, str]] = []
    for step, runs in enumerate(RAMP, 1):
        router.serve(experiment(*runs, stratum=str(step), epoch=step), pods=serving)
        revisions = given(router, units)
        arms = [arm_of(unit, runs) for unit in units]
        assert revisions == ["ranker-new" if arm == V8 else "ranker-old" for arm in arms]
        new = [each for _ in range(3) for each in told(router)]
        assert Counter(each["unit"] for each in new).most_common(1)[0][1] == 1
        assert {each["stratum"] for each in new} == {str(step)}
        now = {each["unit"]: each["arm"] for each in new}
        expected = dict(zip(units, (ARMS[arm] for arm in arms), strict=True))
        before = found[-1] if found else {}
        assert now == {unit: arm for unit, arm in expected.items() if before.get(unit) != arm}
        found.append(expected)
    first, second, last = found
    assert all(second[unit] == last[unit] == arm for unit, arm in first.items() if arm != "waiting")
    assert all(last[unit] == "v8" for unit, arm in second.items() if arm != "control")
    shares = [Counter(step.values())["v8"] / UNITS for step in found]
    assert shares == pytest.approx([0.02, 0.2, 0.5], rel=0.15)


def test_a_run_without_an_arm_tells_nothing(router: Router) -> None:
    whole = experiment((5000, 0, CONTROL), (10000, 1, V8))
    whole["slots"] = [[5000, 0], [10000, 1, V8]]
    router.serve(whole, pods=pods(router))
    units = [f"user-{number}" for number in range(40)]
    new = [unit for unit, revision in zip(units, given(router, units), strict=True) if revision == "ranker-new"]
    assert 5 < len(new) < 35
    assert told(router) == [{**SAME, "unit": unit, "arm": "v8"} for unit in new]


def test_a_revision_may_serve_several_arms(router: Router) -> None:
    runs = [(end, 0, end // 100 % 3) for end in range(100, 10001, 100)]
    router.serve(experiment(*runs), pods=pods(router))
    units = [f"user-{number}" for number in range(300)]
    given(router, units)
    assert told(router) == [{**SAME, "unit": unit, "arm": ARMS[arm_of(unit, runs)]} for unit in units]


def test_a_failure_is_an_exposure_too(router: Router) -> None:
    """The user met the arm, and an arm that fails must not lose those that it fails."""
    router.serve(experiment((10000, 0, CONTROL)), pods={"ranker-old": [router.pod(lambda _: Reply(status=500))]})
    assert router.ask(x_user_id="a").status == 500
    router.serve(experiment((10000, 0, CONTROL)), pods={"ranker-old": ["127.0.0.9"]})
    assert router.ask(x_user_id="b").status == 502
    fallback = {"response": {"status": 200, "contentType": "text/plain", "body": "x"}}
    router.serve(experiment((10000, 0, CONTROL), fallback=fallback), pods={"ranker-old": [router.pod(lambda _: Reply(status=503))]})
    assert router.ask(x_user_id="c").headers["x-slipway-fallback"] == "response"
    assert [each["unit"] for each in told(router)] == ["a", "b", "c"]


def test_who_met_no_arm_is_not_told(router: Router) -> None:
    slow = router.pod(lambda _: Reply(after_s=0.4))
    limits = {"bodyBytes": 1000, "pendingPerPod": 1}
    router.serve(experiment((10000, 0, CONTROL), limits=limits), pods={"ranker-old": [slow]})
    first = threading.Thread(target=router.ask, kwargs={"x_user_id": "first"})
    first.start()
    time.sleep(0.1)
    refused = [
        router.ask(x_user_id="shed"),
        router.ask(x_user_id="large", body=b"x" * 1001),
        router.ask(x_user_id="typed", content_type="text/plain"),
    ]
    first.join()
    assert [answer.status for answer in refused] == [503, 413, 415]
    assert (router.ask().status, router.ask("GET", "/v2/models/ranker", x_user_id="metadata").status) == (200, 200)
    router.serve(experiment((10000, 0, CONTROL)), pods={})
    assert router.ask(x_user_id="no pod").status == 503
    router.serve(experiment((10000, 0, CONTROL), fallback={"revision": "ranker-before"}), pods={"ranker-before": [router.pod()]})
    assert router.ask(x_user_id="fallback only").status == 200
    router.serve(table(), pods={"ranker-old": [router.pod()]})
    router.ask(x_user_id="no experiment")
    assert [each["unit"] for each in told(router)] == ["first"]


def test_the_shadow_meets_nobody(router: Router) -> None:
    table_ = experiment((10000, 0, CONTROL), shadow={"revision": "ranker-shadow", "percent": "100"})
    router.serve(table_, pods={"ranker-old": [router.pod()], "ranker-shadow": [router.pod()]})
    router.ask(x_user_id="u")
    assert told(router) == [{**SAME, "unit": "u", "arm": "control"}]


def test_a_unit_of_any_bytes_is_told_as_text(router: Router) -> None:
    router.serve(experiment((10000, 0, CONTROL)), pods={"ranker-old": [router.pod()]})
    for unit in ("Zo\xeb", "Zoë".encode().decode("latin-1"), 'a"b\\', "a/b%0a"):
        router.ask(x_user_id=unit)
    assert [each["unit"] for each in told(router)] == ["Zoë", "Zoë", 'a"b\\', "a/b%0a"]


def test_several_workers_tell_a_unit_once(folder: Path) -> None:
    with Router(folder, workers=3) as router:
        router.serve(experiment((5000, 0, CONTROL), (10000, 1, V8)), pods=pods(router))
        with Load(router.http_port, clients=8, units=300) as load:
            load.until(3000)
        # A worker tells a moment after it has answered, and another one may be asked before.
        time.sleep(0.2)
        assert sorted(each["unit"] for each in told(router)) == sorted(f"u{number}" for number in range(300))


def test_more_exposures_than_are_kept_are_counted_as_lost(router: Router) -> None:
    """Told in portions of 5,000; 20,000 wait at most."""
    router.serve(experiment((10000, 0, CONTROL)), pods={"ranker-old": [router.pod()]})
    with Load(router.http_port, clients=8, units=10**9) as load:
        load.until(20_300, timeout_s=60)
    portions = [router.taken() for _ in range(5)]
    assert [len(one["exposures"]) for one in portions] == [5000, 5000, 5000, 5000, 0]
    lost = sum(one["lost"] for one in portions)
    assert lost == load.total - 20_000 > 0
    assert len({each["unit"] for one in portions for each in one["exposures"]}) == 20_000


def test_what_is_not_safe_yet_is_told_again(router: Router) -> None:
    """Whoever took it may have been killed before it was on the disk."""
    router.serve(experiment((10000, 0, CONTROL)), pods={"ranker-old": [router.pod()]})

    def take(kept: str = "") -> tuple[int, list[str]]:
        taken = json.loads(router.control("POST", f"/taken{kept}").body)
        return taken["answer"], [each["unit"] for each in taken["exposures"] or []]

    given(router, ["a", "b"])
    first, units = take()
    given(router, ["c"])
    assert (units, take(), take("?kept=1"), take("?kept=x")) == (["a", "b"], (first, ["a", "b"]), (first, ["a", "b"]), (first, ["a", "b"]))
    second, units = take(f"?kept={first}")
    assert (second, units) == (first + 1, ["c"])
    assert take(f"?kept={first}") == (second, ["c"])
    assert take(f"?kept={second}") == (second + 1, [])
