"""The world ends the same, whatever goes wrong between the operator and the API server, and no moment on the way is worse than it must be."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from slipway_box.controlplane import ControlPlane
from slipway_faults import campaign
from slipway_faults.faults import Fault
from slipway_faults.lane import Recording


class Campaign:
    """Plays faults against one control plane."""

    def __init__(self, plane: ControlPlane, folder: Path, clean: Recording) -> None:
        self._plane = plane
        self._folder = folder
        self._clean = clean

    def play(self, faults: Iterable[Fault], *, kind: str) -> None:
        async def work() -> campaign.Result:
            async with campaign.staged(self._plane.kubeconfig, self._folder) as stage:
                return await campaign.play(stage, self._clean, faults, kind=kind)

        result = campaign.run(work())
        print(result.told(kind))  # noqa: T201 - how many were tried is part of the result
        assert not result.problems, "\n".join(result.problems)
        assert result.met >= 0.8 * result.tried, result.told(kind)


@pytest.fixture
def faulty(plane: ControlPlane, folder: Path, clean: Recording) -> Campaign:
    return Campaign(plane, folder, clean)


def test_an_operator_killed_before_or_after_any_write_leaves_the_same_world(faulty: Campaign, clean: Recording) -> None:
    faulty.play(campaign.kills(clean), kind="killed")


def test_lost_repeated_late_and_cut_watch_events_leave_the_same_world(faulty: Campaign, clean: Recording) -> None:
    faulty.play(campaign.sample(campaign.lost_events(clean), lanes=12), kind="events")


def test_refused_broken_and_unanswered_requests_leave_the_same_world(faulty: Campaign, clean: Recording) -> None:
    faulty.play(campaign.sample(campaign.refusals(clean), lanes=12), kind="requests")


def test_an_operator_that_starts_with_stale_lists_leaves_the_same_world(faulty: Campaign) -> None:
    faulty.play(campaign.sample(campaign.stale_starts(), lanes=4), kind="stale")
