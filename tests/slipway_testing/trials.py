"""One Experiment on the ModelDeployment of a shop, as a test sees and steers it, and the units that meet its arms."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from slipway_operator.api import metadata
from slipway_operator.cluster import resources
from slipway_operator.cluster.resources import Object
from slipway_testing.kube import eventually
from slipway_testing.shop import Shop

PRIMARY: Final[dict[str, Any]] = {
    "name": "bought",
    "role": "Primary",
    "type": "Proportion",
    "windowSeconds": 60,
    "minimumEffect": {"relativePercent": "20"},
    "baseline": "0.2",
}
ERRORS: Final[dict[str, Any]] = {"name": "error-rate", "role": "Guardrail", "source": "Router", "direction": "Down", "margin": "0.01"}
SOON: Final[dict[str, Any]] = {"minUnitsPerArm": 100, "minDurationSeconds": 0, "maxDurationSeconds": 86_400, "intervalSeconds": 1}
"""Looks every second, and a verdict as soon as there is one."""


def manifest(namespace: str, name: str = "digits-v2", *, uri: str = "pvc://models/digits/2", target: str = "digits", **spec: Any) -> Object:
    """An Experiment as a user writes it."""
    return {
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "Experiment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "targetRef": {"name": target},
            "arms": [{"name": "control"}, {"name": "v2", "model": {"uri": uri}}],
            "assignment": {"unit": {"header": "x-user-id"}},
            "ramp": [{"percent": 50}],
            "metrics": [PRIMARY],
            "analysis": SOON,
        }
        | spec,
    }


@dataclass(frozen=True)
class Trial:
    """An Experiment of the shop's one ModelDeployment."""

    shop: Shop
    name: str = "digits-v2"

    def apply(self, **spec: Any) -> Object:
        """Apply it as a user does."""
        return self.shop.kube.apply(manifest(self.shop.namespace, self.name, **spec))

    def live(self) -> Object:
        """The object."""
        found = self.shop.kube.get(resources.EXPERIMENTS, self.name, namespace=self.shop.namespace)
        assert found is not None
        return found

    def delete(self) -> None:
        """Take it away."""
        self.shop.kube.delete(resources.EXPERIMENTS, self.name, namespace=self.shop.namespace)

    def suspend(self, whether: bool) -> None:
        """Write spec.suspend."""
        self.shop.kube.merge(resources.EXPERIMENTS, self.name, {"spec": {"suspend": whether}}, namespace=self.shop.namespace)

    def tell(self, command: str) -> None:
        """Write annotation slipway.dev/experiment."""
        said = {"metadata": {"annotations": {metadata.EXPERIMENT_ANNOTATION: command}}}
        self.shop.kube.merge(resources.EXPERIMENTS, self.name, said, namespace=self.shop.namespace)

    def status(self) -> dict[str, Any]:
        """Its status; empty at first."""
        found: dict[str, Any] = self.live().get("status") or {}
        return found

    def reason(self, kind: str) -> str:
        """The reason of a condition; empty where there is none."""
        return next((str(one["reason"]) for one in self.status().get("conditions", ()) if one["type"] == kind), "")

    @property
    def ledger_name(self) -> str:
        """What the ledger calls it."""
        return f"{self.shop.namespace}/{self.name}-{self.live()['metadata']['uid'][:8]}"

    def revision(self, arm: str = "v2") -> str:
        """The revision of an arm, once its turn has come."""
        return eventually(lambda: next((str(one["revision"]) for one in self.status().get("arms", ()) if one["name"] == arm), ""))

    def serve(self, arm: str = "v2") -> str:
        """Let the arm's pods get ready, and wait until its units are divided; its revision."""
        revision = self.revision(arm)
        self.shop.roll_out(revision)
        eventually(lambda: "since" in (self.status().get("traffic") or {}))
        return revision

    def groups(self) -> dict[str, int]:
        """Slots that routers tell of, by group; empty where nobody is told of anything."""
        table = self.shop.table()
        told = table.get("exposures")
        return dict(_counted(table["slots"], told["arms"])) if told else {}

    def served_by(self, group: str) -> set[str]:
        """Revisions that the route table has for a group."""
        table = self.shop.table()
        number = table["exposures"]["arms"].index(group)
        return {str(table["revisions"][run[1]]["name"]) for run in table["slots"] if run[2:] == [number]}


def _counted(slots: list[list[int]], names: list[str]) -> Counter[str]:
    found: Counter[str] = Counter()
    before = 0
    for end, _, *group in slots:
        if group:
            found[names[group[0]]] += end - before
        before = end
    return found


def exposures(experiment: str, arm: str, units: int, *, at: str, stratum: str = "1") -> Iterator[dict[str, Any]]:
    """So many units of an arm, as a router tells of them; ``experiment``: as the ledger calls it."""
    for number in range(units):
        yield {"experiment": experiment, "unit": f"{stratum}-{arm}-{number}", "arm": arm, "stratum": stratum, "time": at}


def outcomes(service: str, arm: str, units: int, *, at: str, stratum: str = "1", metric: str = "bought") -> Iterator[dict[str, Any]]:
    """The first so many of them did it, as the application tells by the name of the ModelDeployment alone."""
    for number in range(units):
        yield {"service": service, "unit": f"{stratum}-{arm}-{number}", "metric": metric, "value": 1, "time": at}
