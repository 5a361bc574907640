"""Which revision plays which role, through everything that happens to a ModelDeployment."""

from typing import Any

import pytest

from slipway_operator.reconcile import casting
from slipway_operator.state.observed import Observed, Workload
from slipway_testing import builders
from slipway_testing.builders import at, entry, observed, running, status

ONE, TWO, THREE = (builders.spec(uri=f"pvc://models/digits/{number}") for number in (1, 2, 3))
FIRST, SECOND, THIRD = (builders.revision(spec, number=number) for number, spec in enumerate((ONE, TWO, THREE), start=1))
STARTING = Workload(settled=True, replicas=1, available=0)
STOPPED = Workload(stopped=True)


def roles(seen: Observed) -> dict[str, str]:
    assert seen.spec is not None
    cast = casting.cast(seen, seen.spec)
    return {part.revision.name: part.role for part in cast.parts} | {revision.name: "dropped" for revision in cast.dropped}


def serving(seen: Observed) -> str | None:
    assert seen.spec is not None
    revision = casting.cast(seen, seen.spec).serving
    return revision.name if revision else None


def seen(spec: Any, *revisions: Any, **changes: Any) -> Observed:
    return observed(spec=spec, revisions=revisions, **changes)


def served(seen: Observed) -> dict[str, bool]:
    assert seen.spec is not None
    return {part.revision.name: part.served for part in casting.cast(seen, seen.spec).parts}


CASES: dict[str, tuple[Observed, dict[str, str], str | None]] = {
    "a new object makes its first revision, which serves nothing yet": (seen(ONE), {FIRST.name: "Candidate"}, None),
    "the first revision serves once it is ready": (
        seen(ONE, FIRST, workloads={FIRST.name: running()}, status=status(entry(FIRST, "Candidate", served=False))),
        {FIRST.name: "Stable"},
        FIRST.name,
    ),
    "at rest nothing moves": (
        seen(ONE, FIRST, workloads={FIRST.name: running()}, selected=FIRST.name, status=status(entry(FIRST, "Stable"))),
        {FIRST.name: "Stable"},
        FIRST.name,
    ),
    "a new model gets ready while the old one serves": (
        seen(TWO, FIRST, workloads={FIRST.name: running()}, selected=FIRST.name, status=status(entry(FIRST, "Stable"))),
        {FIRST.name: "Stable", SECOND.name: "Candidate"},
        FIRST.name,
    ),
    "a candidate that is not ready takes nothing over": (
        seen(
            TWO,
            FIRST,
            SECOND,
            workloads={FIRST.name: running(), SECOND.name: STARTING},
            selected=FIRST.name,
            status=status(entry(FIRST, "Stable"), entry(SECOND, "Candidate", served=False)),
        ),
        {FIRST.name: "Stable", SECOND.name: "Candidate"},
        FIRST.name,
    ),
    "a ready candidate takes over and the old revision drains": (
        seen(
            TWO,
            FIRST,
            SECOND,
            workloads={FIRST.name: running(), SECOND.name: running()},
            selected=FIRST.name,
            status=status(entry(FIRST, "Stable"), entry(SECOND, "Candidate", served=False)),
        ),
        {SECOND.name: "Stable", FIRST.name: "Draining"},
        SECOND.name,
    ),
    "after a crash between moving the Service and writing the status the selector counts": (
        seen(
            TWO,
            FIRST,
            SECOND,
            workloads={FIRST.name: running(), SECOND.name: running()},
            selected=SECOND.name,
            status=status(entry(FIRST, "Stable"), entry(SECOND, "Candidate", served=False)),
        ),
        {SECOND.name: "Stable", FIRST.name: "Draining"},
        SECOND.name,
    ),
    "a revision drains for a while": (
        seen(
            TWO,
            FIRST,
            SECOND,
            workloads={FIRST.name: running(), SECOND.name: running()},
            selected=SECOND.name,
            status=status(entry(SECOND, "Stable"), entry(FIRST, "Draining", since=at(-14))),
        ),
        {SECOND.name: "Stable", FIRST.name: "Draining"},
        SECOND.name,
    ),
    "a drained revision is parked": (
        seen(
            TWO,
            FIRST,
            SECOND,
            workloads={FIRST.name: running(), SECOND.name: running()},
            selected=SECOND.name,
            status=status(entry(SECOND, "Stable"), entry(FIRST, "Draining", since=at(-15))),
        ),
        {SECOND.name: "Stable", FIRST.name: "Parked"},
        SECOND.name,
    ),
    "going back to a parked model wakes its revision": (
        seen(
            ONE,
            FIRST,
            SECOND,
            workloads={FIRST.name: STOPPED, SECOND.name: running()},
            selected=SECOND.name,
            status=status(entry(SECOND, "Stable"), entry(FIRST, "Parked")),
        ),
        {SECOND.name: "Stable", FIRST.name: "Candidate"},
        SECOND.name,
    ),
    "a candidate that never served goes when the spec moves on": (
        seen(
            THREE,
            FIRST,
            SECOND,
            workloads={FIRST.name: running(), SECOND.name: STARTING},
            selected=FIRST.name,
            status=status(entry(FIRST, "Stable"), entry(SECOND, "Candidate", served=False)),
        ),
        {FIRST.name: "Stable", THIRD.name: "Candidate", SECOND.name: "dropped"},
        FIRST.name,
    ),
    "a woken candidate is parked again when the spec moves on": (
        seen(
            THREE,
            FIRST,
            SECOND,
            workloads={FIRST.name: STARTING, SECOND.name: running()},
            selected=SECOND.name,
            status=status(entry(SECOND, "Stable"), entry(FIRST, "Candidate")),
        ),
        {SECOND.name: "Stable", THIRD.name: "Candidate", FIRST.name: "Parked"},
        SECOND.name,
    ),
    "going back to what serves drops the candidate at once": (
        seen(
            ONE,
            FIRST,
            SECOND,
            workloads={FIRST.name: running(), SECOND.name: STARTING},
            selected=FIRST.name,
            status=status(entry(FIRST, "Stable"), entry(SECOND, "Candidate", served=False)),
        ),
        {FIRST.name: "Stable", SECOND.name: "dropped"},
        FIRST.name,
    ),
    "a lost status is found again from the Service": (
        seen(TWO, FIRST, SECOND, workloads={FIRST.name: STOPPED, SECOND.name: running()}, selected=SECOND.name),
        {SECOND.name: "Stable", FIRST.name: "Parked"},
        SECOND.name,
    ),
    "a lost status lets what still runs drain": (
        seen(TWO, FIRST, SECOND, workloads={FIRST.name: running(), SECOND.name: running()}, selected=SECOND.name),
        {SECOND.name: "Stable", FIRST.name: "Draining"},
        SECOND.name,
    ),
    "a deleted Service is found again from the status": (
        seen(TWO, FIRST, SECOND, workloads={FIRST.name: running()}, status=status(entry(FIRST, "Stable"), entry(SECOND, "Candidate", served=False))),
        {FIRST.name: "Stable", SECOND.name: "Candidate"},
        FIRST.name,
    ),
    "suspended, a changed spec waits": (
        seen(
            builders.spec(suspend=True, uri="pvc://models/digits/2"),
            FIRST,
            workloads={FIRST.name: running()},
            selected=FIRST.name,
            status=status(entry(FIRST, "Stable")),
        ),
        {FIRST.name: "Stable"},
        FIRST.name,
    ),
    "suspended, a candidate stays a candidate even when ready": (
        seen(
            builders.spec(suspend=True, uri="pvc://models/digits/2"),
            FIRST,
            SECOND,
            workloads={FIRST.name: running(), SECOND.name: running()},
            selected=FIRST.name,
            status=status(entry(FIRST, "Stable"), entry(SECOND, "Candidate", served=False)),
        ),
        {FIRST.name: "Stable", SECOND.name: "Candidate"},
        FIRST.name,
    ),
    "created suspended, nothing is begun": (seen(builders.spec(suspend=True)), {}, None),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_roles(case: tuple[Observed, dict[str, str], str | None]) -> None:
    world, expected_roles, expected_serving = case

    assert (roles(world), serving(world)) == (expected_roles, expected_serving)


def test_history_keeps_the_revisions_parked_last() -> None:
    specs = [builders.spec(uri=f"pvc://models/digits/{number}", serving={"revisionHistoryLimit": 2}) for number in range(5)]
    revisions = [builders.revision(spec, number=number + 1) for number, spec in enumerate(specs)]
    entries = [entry(revision, "Parked", since=at(-100 + number)) for number, revision in enumerate(revisions[:4])]
    world = observed(
        spec=specs[4],
        revisions=tuple(revisions),
        selected=revisions[4].name,
        workloads={revisions[4].name: running()},
        status=status(entry(revisions[4], "Stable"), *entries),
    )

    assert [name for name, role in roles(world).items() if role == "Parked"] == [revisions[3].name, revisions[2].name]
    assert [name for name, role in roles(world).items() if role == "dropped"] == [revisions[0].name, revisions[1].name]


def test_without_history_a_drained_revision_goes() -> None:
    spec = builders.spec(uri="pvc://models/digits/2", serving={"revisionHistoryLimit": 0})
    world = observed(
        spec=spec,
        revisions=(FIRST, SECOND),
        selected=SECOND.name,
        workloads={FIRST.name: running(), SECOND.name: running()},
        status=status(entry(SECOND, "Stable"), entry(FIRST, "Draining", since=at(-60))),
    )

    assert roles(world) == {SECOND.name: "Stable", FIRST.name: "dropped"}


@pytest.mark.parametrize(
    ("replicas", "stable_pods", "wanted"),
    [
        ({"min": 2, "max": 10}, 6, 6),
        ({"min": 2, "max": 4}, 6, 4),
        ({"min": 2, "max": 10}, 1, 2),
        ({"min": 2}, 6, 2),
    ],
    ids=["as many as served", "at most max", "at least min", "fixed"],
)
def test_a_candidate_takes_over_with_as_many_pods_as_the_load_needs(replicas: dict[str, int], stable_pods: int, wanted: int) -> None:
    spec = builders.spec(uri="pvc://models/digits/2", serving={"replicas": replicas})
    world = observed(spec=spec, revisions=(FIRST,), selected=FIRST.name, workloads={FIRST.name: running(replicas=stable_pods)})

    assert casting.cast(world, spec).wanted == wanted


def test_a_role_keeps_the_moment_it_began() -> None:
    world = seen(ONE, FIRST, workloads={FIRST.name: running()}, selected=FIRST.name, status=status(entry(FIRST, "Stable", since=at(-500))))

    assert casting.cast(world, ONE).parts[0].since == at(-500)


def test_a_new_revision_pins_the_current_runtime_of_its_family() -> None:
    assert casting.cast(seen(ONE), ONE).parts[0].revision.runtime == "slipway-triton-11111111"


def test_a_runtime_outside_the_families_is_taken_by_its_own_name() -> None:
    spec = builders.spec(serving={"runtime": "my-triton"})

    assert casting.cast(seen(spec), spec).parts[0].revision.runtime == "my-triton"


def test_a_recorded_revision_keeps_its_runtime_when_the_family_moves_on() -> None:
    world = seen(ONE, FIRST, selected=FIRST.name, workloads={FIRST.name: running()}, runtimes={"slipway-triton": "slipway-triton-22222222"})

    assert casting.cast(world, ONE).parts[0].revision.runtime == "slipway-triton-11111111"


def test_a_revision_whose_record_was_deleted_keeps_its_runtime_from_the_status() -> None:
    world = seen(ONE, selected=FIRST.name, status=status(entry(FIRST, "Stable")), runtimes={"slipway-triton": "slipway-triton-22222222"})

    cast = casting.cast(world, ONE)

    assert [(part.revision.name, part.role, part.revision.runtime) for part in cast.parts] == [(FIRST.name, "Stable", "slipway-triton-11111111")]


def test_a_candidate_whose_status_was_lost_in_a_crash_has_not_served() -> None:
    crashed = seen(TWO, FIRST, SECOND, workloads={FIRST.name: running(), SECOND.name: STARTING}, selected=FIRST.name, status=status())

    assert served(crashed) == {FIRST.name: True, SECOND.name: False}


def test_a_candidate_overtaken_by_an_edit_before_the_status_knew_it_is_dropped() -> None:
    """Of two updates in quick succession the first may make its revision and lose the write of the status to the second."""
    overtaken = seen(
        THREE, FIRST, SECOND, workloads={FIRST.name: running(), SECOND.name: STARTING}, selected=FIRST.name, status=status(entry(FIRST, "Stable"))
    )

    assert roles(overtaken) == {FIRST.name: "Stable", THIRD.name: "Candidate", SECOND.name: "dropped"}


def test_a_first_candidate_overtaken_by_an_edit_is_dropped() -> None:
    overtaken = seen(TWO, FIRST, workloads={FIRST.name: STARTING}, status=status())

    assert roles(overtaken) == {SECOND.name: "Candidate", FIRST.name: "dropped"}


def test_a_revision_that_nobody_asks_for_and_no_status_knows_is_kept_as_one_that_served() -> None:
    restored = seen(TWO, FIRST, SECOND, workloads={SECOND.name: running()}, selected=SECOND.name, status=status())

    assert served(restored) == {FIRST.name: True, SECOND.name: True}
