"""What is done to a cluster to install Slipway, and what is told when it does not get up."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from slipway_box import images, installation, machine
from slipway_box.errors import BoxError
from slipway_box.installation import IMAGES, WORKLOADS
from slipway_box.loading import LOADED

APPLIED = "".join(f"{workload} serverside-applied\n" for workload in WORKLOADS.values())


@dataclass
class Watched:
    """A cluster that notes what kubectl is asked for. ``new`` images were not there before; the workload ``stuck`` does not get up."""

    new: set[str] = field(default_factory=set)
    stuck: str = ""
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def load(self, wanted: str) -> str:
        return f"{wanted}{LOADED}" if wanted in self.new else f"{wanted}: already there"

    def kubectl(self, *arguments: str) -> list[str]:
        return ["kubectl", *arguments]

    def run(self, *argv: str) -> str:
        self.asked.append(argv[1:])
        if argv[1:3] == ("rollout", "status") and argv[3] == self.stuck:
            raise BoxError("timed out")
        return APPLIED if argv[1] == "apply" else "its last words" if argv[1] == "logs" else ""

    def up(self) -> None:
        raise AssertionError

    def down(self, *, caches: bool) -> None:
        raise AssertionError

    def status(self) -> tuple[str, bool]:
        raise AssertionError

    def kubeconfig(self) -> Path:
        raise AssertionError


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Watched:
    watched = Watched()
    monkeypatch.setattr(machine, "run", watched.run)
    return watched


def rolled(cluster: Watched, verb: str) -> list[str]:
    """The workloads of which kubectl was asked this."""
    return [arguments[2] for arguments in cluster.asked if arguments[:2] == ("rollout", verb)]


@pytest.mark.parametrize("new", [set(), {"ledger"}, {"operator"}, {"router"}, set(IMAGES)], ids=lambda new: ", ".join(sorted(new)) or "none")
def test_what_runs_is_restarted_where_its_image_is_new_and_waited_for(cluster: Watched, new: set[str]) -> None:
    cluster.new = new
    installation.install(cluster)
    assert rolled(cluster, "restart") == [WORKLOADS[image] for image in ("operator", "ledger") if image in new]
    assert rolled(cluster, "status") == ["deployment.apps/slipway-operator", "statefulset.apps/slipway-ledger"]


@pytest.mark.parametrize("image", WORKLOADS)
def test_what_does_not_get_up_is_told_with_its_last_words(cluster: Watched, image: str) -> None:
    cluster.stuck = WORKLOADS[image]
    with pytest.raises(BoxError, match=f"The {image} does not get up: .*\nits last words"):
        installation.install(cluster)


def test_every_image_that_is_installed_is_one_of_ours() -> None:
    assert set(WORKLOADS) < set(IMAGES) <= set(images.IMAGES)
