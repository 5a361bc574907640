"""What Prometheus is told."""

from slipway_router.agent.bins import middle_s
from slipway_router.agent.totals import BOUNDS_S, GRACE_S, Totals


def test_totals_are_added_up_by_what_they_are() -> None:
    totals = Totals()
    given = [
        ["ranker", 7, "a", "Stable", "http", "2xx", 3],
        ["ranker", 8, "a", "Stable", "http", "2xx", 4],
        ["ranker", 8, "a", "Stable", "grpc", "gone", 1],
        ["ranker", 8, "a", "Stable", "http", "retried", 2],
        ["ranker", 8, "", "", "http", "noUnit", 5],
        ["ranker", 8, "a", "Stable", "http", "3xx", 5],
        ["ranker", 8],
    ]

    assert totals.add(given, pending={"a": 2}) == 2
    assert totals.requests == {("ranker", "a", "Stable", "http", "2xx"): 7, ("ranker", "a", "Stable", "grpc", "gone"): 1}
    assert totals.events == {("retried", "ranker", "a"): 2, ("noUnit", "ranker", ""): 5}
    assert totals.pending == {"a": 2}


def test_latencies_are_counted_once_in_fixed_buckets() -> None:
    totals = Totals()
    totals.add_latency([["ranker", 7, "a", "b", 5, bin_, 0, 2] for bin_ in (0, 100, 479)] + [["ranker", 7, "a", "t", 4, 100, 0, 2], ["who"]])
    histogram = totals.latency["ranker", "a"]
    assert {bound: n for bound, n in zip((*BOUNDS_S, None), histogram.counts, strict=True) if n} == {0.001: 2, 0.01: 2, None: 2}
    assert histogram.sum_s == 2 * (middle_s(0) + middle_s(100) + middle_s(479))


def test_labels_of_what_is_gone_are_dropped_after_a_while() -> None:
    now = [0.0]
    totals = Totals(clock=lambda: now[0])
    for revision in ("a", "b"):
        totals.add([["ranker", 7, revision, "Stable", "http", what, 1] for what in ("2xx", "shed")], pending={})
        totals.add_latency([["ranker", 7, revision, "b", 5, 100, 0, 1]])
    totals.known({("ranker", "a"), ("ranker", "")})
    now[0] += GRACE_S - 1
    totals.known({("ranker", "a"), ("ranker", "")})
    assert len(totals.requests) == len(totals.events) == len(totals.latency) == 2
    now[0] += 1
    totals.known({("ranker", "a"), ("ranker", "")})
    assert totals.requests.keys() == {("ranker", "a", "Stable", "http", "2xx")}
    assert totals.events.keys() == {("shed", "ranker", "a")}
    assert totals.latency.keys() == {("ranker", "a")}
