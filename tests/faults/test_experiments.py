"""An experiment ends the same, whatever goes wrong between the operator and the API server, and no moment on the way is worse than it must be."""

from pathlib import Path

import pytest

from ledger.harness import Ledger
from slipway_box.controlplane import ControlPlane
from slipway_faults import campaign, scenario
from slipway_faults.faults import Fault
from slipway_faults.lane import Recording

from .test_faults import SHORT_LEASE, Campaign


@pytest.fixture
def compared(plane: ControlPlane, folder: Path, clean_experiment: Recording, ledger: Ledger) -> Campaign:
    return Campaign(plane, folder, clean_experiment, routed=True, ledger=ledger)


def own(faults: list[Fault]) -> list[Fault]:
    """Those of the phases that only an experiment has; the others are met by the lives without one."""
    return [fault for fault in faults if fault.moment.phase in ("begin", "win", "git", "delete")]


def test_an_operator_killed_before_or_after_any_write_leaves_the_same_world(compared: Campaign, clean_experiment: Recording) -> None:
    compared.play(campaign.sample(own(campaign.kills(clean_experiment)), lanes=6), kind="xp-killed")


def test_lost_repeated_late_and_cut_watch_events_leave_the_same_world(compared: Campaign, clean_experiment: Recording) -> None:
    compared.play(campaign.sample(own(campaign.lost_events(clean_experiment)), lanes=3), kind="xp-events")


def test_refused_broken_and_unanswered_requests_leave_the_same_world(compared: Campaign, clean_experiment: Recording) -> None:
    """Which statuses an experiment writes follows the clock of its looks: some of the requests that were recorded do not come again."""
    compared.play(campaign.sample(own(campaign.refusals(clean_experiment)), lanes=2), kind="xp-requests", met=0.35)


def test_an_operator_that_starts_with_stale_lists_leaves_the_same_world(compared: Campaign) -> None:
    compared.play(campaign.sample(own(campaign.stale_starts(scenario.EXPERIMENT_PHASES)), lanes=2), kind="xp-stale")


def test_of_two_operators_one_takes_over_when_the_other_is_killed_around_a_write(compared: Campaign, clean_experiment: Recording) -> None:
    compared.play(campaign.sample(own(campaign.kills(clean_experiment)), lanes=1), kind="xp-two", replicas=2, changes=SHORT_LEASE)
