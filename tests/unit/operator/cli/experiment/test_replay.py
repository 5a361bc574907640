"""Every verdict again."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from slipway_operator.cli.experiment import looks, replay
from slipway_testing import simulated_experiments

Bodies = Callable[[str], list[dict[str, Any]]]


def _replayed(bodies: list[dict[str, Any]]) -> replay.Replayed:
    return replay.replay([looks.parse(body, where="a look") for body in bodies])


@pytest.mark.parametrize("story", simulated_experiments.STORIES)
def test_every_story_is_computed_again(story: str, bodies: Bodies) -> None:
    told = bodies(story)
    found = _replayed(told)
    assert (found.looks, found.same, found.differences) == (len(told), True, ())


def _difference(bodies: list[dict[str, Any]]) -> list[tuple[int, str, Any, Any]]:
    return [(one.sequence, one.path, one.recorded, one.computed) for one in _replayed(bodies).differences]


def test_a_number_that_was_changed_is_told_by_its_path(bodies: Bodies) -> None:
    told = bodies("win")
    closed = told[-1]["said"]["arms"]["v8"]["closed"]["conversion"]
    right = closed["lower"]
    closed["lower"] = right + 2**-40
    assert _difference(told) == [(24, "said.arms[v8].closed[conversion].lower", right + 2**-40, right)]


def test_an_input_that_was_changed_is_found_by_what_follows_from_it(bodies: Bodies) -> None:
    told = bodies("win")
    told[-1]["observed"]["closed"]["conversion"]["v8"]["2"]["totals"][0] -= 1
    told[-1]["observed"]["closed"]["conversion"]["v8"]["2"]["products"][0] -= 1
    paths = [path for _, path, _, _ in _difference(told)]
    assert "said.arms[v8].closed[conversion].estimate" in paths
    assert "said.arms[v8].p" in paths


def test_a_verdict_that_nobody_said(bodies: Bodies) -> None:
    told = bodies("alike")[:20]
    told[-1]["said"]["verdict"] = "Winning"
    assert _difference(told) == [(20, "said.verdict", "Winning", "Collecting")]


def test_a_field_that_is_missing_or_too_many(bodies: Bodies) -> None:
    told = bodies("win")
    p = told[-1]["said"]["sampleRatio"].pop("p")
    told[-1]["said"]["more"] = 1
    assert _difference(told) == [(24, "said.sampleRatio.p", None, p), (24, "said.more", 1, None)]


def test_a_look_that_is_missing(bodies: Bodies) -> None:
    told = bodies("win")
    del told[9]
    assert _difference(told) == [(11, "sequence", 11, 10)]


def test_looks_that_begin_late(bodies: Bodies) -> None:
    assert _difference(bodies("win")[4:]) == [(5, "sequence", 5, 1)]


def test_memory_is_what_the_look_before_said(bodies: Bodies) -> None:
    told = bodies("unhealthy")
    before = told[-2]["said"]["memory"]["sampleRatio"]
    told[-1]["observed"]["memory"]["sampleRatio"] = before / 2
    found = _difference(told)
    assert found[0] == (11, "observed.memory.sampleRatio", before / 2, before)


def test_the_first_look_remembers_nothing(bodies: Bodies) -> None:
    told = bodies("alike")[:1]
    told[0]["observed"]["memory"]["sampleRatio"] = 0.5
    told[0]["said"]["memory"]["sampleRatio"] = told[0]["said"]["sampleRatio"]["p"] = 0.5
    assert _difference(told) == [(1, "observed.memory.sampleRatio", 0.5, 1.0)]


def test_shares_of_a_bandit_are_computed_again(bodies: Bodies) -> None:
    told = bodies("bandit")
    right = told[-1]["bandit"]["nextShares"]["v8"]
    told[-1]["bandit"]["nextShares"]["v8"] = 0.5
    assert _difference(told) == [(len(told), "bandit.nextShares[v8]", 0.5, right)]


def test_inputs_that_nobody_can_look_at(bodies: Bodies) -> None:
    told = bodies("win")
    told[-1]["observed"]["steps"][0]["slots"].pop("v8")
    [(sequence, path, recorded, computed)] = _difference(told)
    assert (sequence, path, recorded) == (24, "said", "Winning")
    assert str(computed).startswith("no look is possible: units came to v8, without slots")


@pytest.mark.parametrize(("recorded", "computed"), [(0, False), (True, 1), (1, "1"), (None, 0), ([1], [1, 2]), ({}, [])])
def test_values_that_only_seem_the_same(recorded: Any, computed: Any) -> None:
    assert list(replay.compare({"x": recorded}, {"x": computed}, path="said")) == [("said.x", recorded, computed)]


def test_a_whole_number_and_a_double_of_its_value_are_the_same() -> None:
    assert list(replay.compare({"x": 1}, {"x": 1.0}, path="said")) == []


def test_the_command_says_how_many_and_ends_well(run: Any, looks_file: Any) -> None:
    assert run("replay", "--looks", looks_file("win")) == (0, "shop/ranker-v8: 24 looks, all 24 verdicts are the same\n", "")


def test_the_command_ends_with_1_where_something_differs(run: Any, looks_file: Any, bodies: Bodies) -> None:
    told = bodies("win")
    told[2]["said"]["verdict"] = "Winning"
    status, out, _ = run("replay", "--looks", looks_file(told))
    first, last = out.splitlines()
    assert (status, first) == (1, 'look 3: said.verdict: recorded "Winning", computed "InsufficientData"')
    assert last.startswith("shop/ranker-v8: 24 looks, 1 of them differ.")


def test_the_same_for_machines(run: Any, looks_file: Any, bodies: Bodies) -> None:
    told = bodies("win")
    told[2]["said"]["verdict"] = "Winning"
    status, out, _ = run("replay", "--json", "--looks", looks_file(told))
    assert (status, json.loads(out)) == (
        1,
        {
            "experiment": "shop/ranker-v8",
            "looks": 24,
            "differing": 1,
            "differences": [{"sequence": 3, "path": "said.verdict", "recorded": "Winning", "computed": "InsufficientData"}],
            "same": False,
        },
    )


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("", " holds no look"),
        ("{", ":1 is no JSON"),
        ("[]", ":1 is no object"),
        ('{"sequence": true}', ":1 is no look: it lacks sequence, at, version, experiment, design, observed, said"),
        (
            '{"sequence": 1, "at": "", "version": 2, "experiment": "a/b", "design": {}, "observed": {}, "said": {}}',
            ":1 is a look of version 2, and this slipway knows version 1",
        ),
        (
            '{"sequence": 1, "at": "", "version": 1, "experiment": "a/b", "design": {}, "observed": {}, "said": {}}',
            ":1 is no look: said has no verdict",
        ),
    ],
)
def test_a_file_that_holds_no_looks(line: str, complaint: str, run: Any, tmp_path: Any) -> None:
    (tmp_path / "looks.jsonl").write_text(f"{line}\n")
    status, out, err = run("replay", "--looks", "looks.jsonl")
    assert (status, out) == (2, "")
    assert f"looks.jsonl{complaint}" in err


def test_a_file_that_is_not_there(run: Any) -> None:
    status, _, err = run("replay", "--looks", "nix")
    assert (status, err) == (2, "slipway: cannot read nix: No such file or directory; give the file that `slipway experiment looks` wrote\n")


def test_looks_of_another_experiment_than_was_asked_for(run: Any, looks_file: Any, bodies: Bodies) -> None:
    status, _, err = run("replay", "other", "--looks", looks_file("win"))
    assert status == 2
    assert "holds looks of shop/ranker-v8 and not of other" in err
    mixed = [*bodies("win")[:2], bodies("win")[2] | {"experiment": "shop/other"}]
    status, _, err = run("replay", "--looks", looks_file(mixed))
    assert status == 2
    assert "holds looks of shop/other and shop/ranker-v8" in err


def test_looks_are_written_as_they_are_read(run: Any, looks_file: Any, bodies: Bodies) -> None:
    status, out, _ = run("looks", "--looks", looks_file("three"))
    assert (status, [json.loads(line) for line in out.splitlines()]) == (0, bodies("three"))
