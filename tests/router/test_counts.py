"""What is counted: exactly what was asked, in the cells that the design names."""

import math
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from router.harness import Load, Reply, Router, split, table
from router.reference import bucket_of


def cells(taken: Any, kind: str) -> Counter[tuple[str, int, int]]:
    """(revision, bucket or block, bad) -> number."""
    found: Counter[tuple[str, int, int]] = Counter()
    for _, _, revision, of, place, _, bad, number in taken["cells"]:
        if of == kind:
            found[revision, place, bad] += number
    return found


def test_every_inference_is_in_its_bucket_and_its_block(router: Router) -> None:
    router.serve(table(), pods={"ranker-old": [router.pod()]})
    units = [f"user-{number % 70}" for number in range(300)]
    before = int(time.time()) // 4
    for unit in units:
        router.ask(x_user_id=unit)
    after = int(time.time()) // 4
    taken = router.taken()
    assert {tuple(row[:3]) for row in taken["cells"]} == {("ranker", 7, "ranker-old")}
    expected = Counter(("ranker-old", bucket_of("shop/ranker", unit.encode()), 0) for unit in units)
    assert cells(taken, "b") == expected
    blocks = cells(taken, "t")
    assert blocks.total() == 300
    assert {block for _, block, _ in blocks} <= set(range(before, after + 1))
    assert taken["totals"] == [["ranker", 7, "ranker-old", "Stable", "http", "2xx", 300]]
    assert (router.taken()["cells"], router.taken()["totals"]) == ([], [])


@pytest.mark.parametrize("seconds", [0.02, 0.25])
def test_the_time_of_an_answer_is_in_its_bin(router: Router, seconds: float) -> None:
    router.serve(table(), pods={"ranker-old": [router.pod(lambda _: Reply(after_s=seconds))]})
    router.ask(x_user_id="u")
    bins = {row[5] for row in router.taken()["cells"]}
    least, most = (math.floor(math.log(s / 0.0005) / math.log(1.025)) for s in (seconds - 0.002, seconds + 0.05))
    assert len(bins) == 1
    assert least <= bins.pop() <= most


def test_the_time_is_that_of_the_first_attempt_and_without_the_clients_upload(router: Router) -> None:
    bad, good = router.pod(lambda _: Reply(status=503)), router.pod(lambda _: Reply(after_s=0.3))
    router.serve(table(), pods={"ranker-old": [bad, good]})
    while bad.count == 0:
        router.ask(x_user_id="u")
    quick = [row for row in router.taken()["cells"] if row[6] == 1]
    assert quick
    assert {row[5] < 150 for row in quick} == {True}


def test_the_first_attempt_counts_though_the_retry_succeeded(router: Router) -> None:
    """Guardrails would never see a revision whose every second pod fails, were answers counted."""
    pods = [router.pod(lambda _: Reply(status=503)), router.pod()]
    router.serve(split(5000), pods={"ranker-old": [router.pod()], "ranker-new": pods})
    with Load(router.http_port, clients=2, units=200) as load:
        load.until(400)
    taken = router.taken()
    bad = sum(number for (revision, _, of), number in cells(taken, "b").items() if (revision, of) == ("ranker-new", 1))
    assert set(load.statuses) == {200}
    assert bad == pods[0].count > 0
    assert cells(taken, "t").total() == load.total == cells(taken, "b").total()


def test_counts_under_load_are_exact_while_they_are_taken(folder: Path) -> None:
    """Three workers count and one is asked: nothing is lost between them, nor told twice."""
    with Router(folder, workers=3) as router:
        router.serve(split(5000), pods={"ranker-old": [router.pod(), router.pod()], "ranker-new": [router.pod()]})
        taken = []
        done = threading.Event()

        def take() -> None:
            while not done.is_set():
                taken.append(router.taken())

        thread = threading.Thread(target=take)
        thread.start()
        with Load(router.http_port, clients=8, units=300) as load:
            load.until(4000)
        done.set()
        thread.join()
        taken.append(router.taken())
        revisions: Counter[str] = Counter()
        by_bucket: Counter[str] = Counter()
        for one in taken:
            for row in one["totals"]:
                revisions[row[2]] += row[6]
            for (revision, _, _), number in cells(one, "b").items():
                by_bucket[revision] += number
        assert len(taken) > 5
        assert revisions == by_bucket == load.revisions


def test_requests_without_a_unit_are_in_a_counter_of_their_own(router: Router) -> None:
    router.serve(table(), pods={"ranker-old": [router.pod()]})
    router.ask()
    router.ask(x_user_id="")
    taken = router.taken()
    assert (taken["cells"], {row[5]: row[6] for row in taken["totals"]}) == ([], {"2xx": 2, "noUnit": 2})


def test_where_requests_are_the_units_all_are_counted(router: Router) -> None:
    router.serve(table(unit=None), pods={"ranker-old": [router.pod()]})
    for _ in range(200):
        router.ask()
    taken = router.taken()
    assert cells(taken, "b").total() == 200
    assert len(cells(taken, "b")) > 50
    assert {row[5]: row[6] for row in taken["totals"]} == {"2xx": 200}


def test_answers_of_4xx_are_counted_and_not_bad(router: Router) -> None:
    router.serve(table(), pods={"ranker-old": [router.pod(lambda _: Reply(status=400))]})
    router.ask(x_user_id="u")
    taken = router.taken()
    assert ({row[5]: row[6] for row in taken["totals"]}, [row[6] for row in taken["cells"]]) == ({"4xx": 1}, [0, 0])


def test_epochs_are_kept_apart(router: Router) -> None:
    pod = router.pod()
    for epoch in (7, 8):
        router.serve(table(epoch=epoch), pods={"ranker-old": [pod]})
        router.ask(x_user_id="u")
    assert sorted(row[1] for row in router.taken()["cells"]) == [7, 7, 8, 8]


def test_what_was_refused_is_not_counted(router: Router) -> None:
    router.serve(table(), pods={"ranker-old": [router.pod()]})
    for answer in (router.ask(content_type="text/plain"), router.ask("GET"), router.ask(path="/v2/models/x/infer")):
        assert 400 <= answer.status < 500
    assert (router.taken()["cells"], router.taken()["totals"]) == ([], [])
