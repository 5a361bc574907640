"""The world ends the same, whatever goes wrong between the operator and the API server, and no moment on the way is worse than it must be."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest

from slipway_box.controlplane import ControlPlane
from slipway_faults import campaign
from slipway_faults.faults import Fault
from slipway_faults.lane import Recording

SHORT_LEASE: Final = {"lease_seconds": 2.0}


class Campaign:
    """Plays faults against one control plane."""

    def __init__(self, plane: ControlPlane, folder: Path, clean: Recording, **options: Any) -> None:
        self._plane = plane
        self._folder = folder
        self._clean = clean
        self._options = options

    def play(self, faults: Iterable[Fault], *, kind: str, met: float = 0.8, **options: Any) -> None:
        """``met``: the share of the faults that must have happened, so that the end says something."""

        async def work() -> campaign.Result:
            async with campaign.staged(self._plane.kubeconfig, self._folder) as stage:
                return await campaign.play(stage, self._clean, faults, kind=kind, **self._options, **options)

        result = campaign.run(work())
        print(result.told(kind))  # noqa: T201 - how many were tried is part of the result
        assert not result.problems, "\n".join(result.problems)
        assert result.met >= met * result.tried, result.told(kind)


@pytest.fixture
def faulty(plane: ControlPlane, folder: Path, clean: Recording, routed: bool) -> Campaign:
    return Campaign(plane, folder, clean, routed=routed)


def test_an_operator_killed_before_or_after_any_write_leaves_the_same_world(faulty: Campaign, clean: Recording) -> None:
    faulty.play(campaign.sample(campaign.kills(clean), lanes=6), kind="killed")


def test_lost_repeated_late_and_cut_watch_events_leave_the_same_world(faulty: Campaign, clean: Recording) -> None:
    faulty.play(campaign.sample(campaign.lost_events(clean), lanes=3), kind="events")


def test_refused_broken_and_unanswered_requests_leave_the_same_world(faulty: Campaign, clean: Recording) -> None:
    faulty.play(campaign.sample(campaign.refusals(clean), lanes=3), kind="requests")


def test_an_operator_that_starts_with_stale_lists_leaves_the_same_world(faulty: Campaign) -> None:
    faulty.play(campaign.sample(campaign.stale_starts(), lanes=1), kind="stale")


def test_of_two_operators_one_takes_over_when_the_other_is_killed_around_a_write(faulty: Campaign, clean: Recording) -> None:
    faulty.play(campaign.sample(campaign.kills(clean), lanes=1), kind="two", replicas=2, changes=SHORT_LEASE)


def test_a_leader_that_stood_still_for_longer_than_its_lease_writes_nothing_more(faulty: Campaign, clean: Recording) -> None:
    faulty.play(campaign.sample(campaign.pauses(clean), lanes=1), kind="paused", replicas=2, processes=True, changes=SHORT_LEASE)
