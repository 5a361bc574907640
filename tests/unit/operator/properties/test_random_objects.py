"""Whatever the API server would take: the operator settles, says so, undoes what is undone, and ignores no field."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings

from slipway_operator.render import revision as objects
from slipway_operator.state.revision import Revision, revision_name
from slipway_testing import builders, strategies, transformers
from slipway_testing.simulator import Cluster, Name

# The same examples each time: a red build must be somebody's change.
thorough = settings(max_examples=200)


def settled(*written: dict[str, Any]) -> Cluster:
    """A cluster to which ``written`` were applied one after the other."""
    cluster = Cluster()
    for spec in written:
        cluster.edit(spec)
        cluster.settle()
    return cluster


def unnumbered(children: dict[Name, dict[str, Any]]) -> dict[Name, dict[str, Any]]:
    """Without the numbers of revisions (one that an edit to no history at all has dropped comes back with a new number) and of epochs."""
    return {name: _unnumbered(child) for name, child in children.items()}


def _unnumbered(child: dict[str, Any]) -> dict[str, Any]:
    if "routes.json" in child.get("data", {}):
        return child | {"data": {**json.loads(child["data"]["routes.json"]), "epoch": 0}}
    return {key: value for key, value in child.items() if key != "revision"}


def forgetful(written: dict[str, Any]) -> dict[str, Any]:
    """Without a fallback to what served before: an undone edit leaves something that did."""
    traffic = written.get("traffic", {})
    if "revision" not in traffic.get("fallback", {}):
        return written
    return written | {"traffic": {name: value for name, value in traffic.items() if name != "fallback"}}


def condition(cluster: Cluster, kind: str) -> str:
    return next(condition.status for condition in cluster.status.conditions if condition.type == kind)


@given(strategies.specs())
@thorough
def test_a_random_object_settles_and_its_status_speaks_of_its_generation(written: dict[str, Any]) -> None:
    cluster = settled(written)

    assert cluster.status.observed_generation == cluster.generation
    assert condition(cluster, "Reconciling") == "False"
    assert condition(cluster, "Ready") == ("False" if written.get("suspend") else "True")


@given(strategies.specs())
@thorough
def test_a_second_pass_changes_nothing(written: dict[str, Any]) -> None:
    cluster = settled(written)
    before = copy.deepcopy(cluster.children), cluster.status

    made = cluster.one_pass()

    assert (cluster.children, cluster.status) == before
    assert (made.scales, made.events) == ((), ())


@given(strategies.specs(), strategies.specs())
@thorough
def test_an_edit_and_its_undoing_leave_the_earlier_world_and_history(first: dict[str, Any], second: dict[str, Any]) -> None:
    first, second = forgetful(first) | {"suspend": False}, second | {"suspend": False}
    cluster = settled(first)
    before = copy.deepcopy(cluster.children)

    for spec in (second, first):
        cluster.edit(spec)
        cluster.settle()

    left_over = {name: child for name, child in cluster.children.items() if name not in before}
    assert unnumbered({name: child for name, child in cluster.children.items() if name in before}) == unnumbered(before)
    assert {name for _, name in left_over} <= {revision_name(strategies.parsed(second), owner="digits")}
    assert cluster.status.observed_generation == cluster.generation


@given(strategies.specs(), strategies.specs())
@thorough
def test_at_every_pass_of_an_edit_what_the_service_selects_runs(first: dict[str, Any], second: dict[str, Any]) -> None:
    cluster = settled(first | {"suspend": False})
    cluster.edit(second)

    for _ in range(8):
        cluster.one_pass()
        seen = cluster.observed()
        assert seen.selected is not None
        assert not seen.workload(seen.selected).stopped


@given(strategies.specs())
@thorough
def test_a_record_holds_all_that_its_revision_is(written: dict[str, Any]) -> None:
    owner = builders.identity()
    made = Revision.of(strategies.parsed(written), owner=owner.name, number=1, runtime="r")

    read = Revision.recorded(name=made.name, number=1, data=made.data)

    assert objects.render(read, owner=owner) == objects.render(made, owner=owner)


def lived(written: dict[str, Any]) -> dict[str, Any]:
    """Children and conditions of an object that had another model before, so that history counts too."""
    cluster = settled(strategies.changed(("model", "uri"), "pvc://models/digits/0"), written)
    said = [condition.model_dump(exclude={"last_transition_time"}) for condition in cluster.status.conditions]
    return {"children": cluster.children, "conditions": said}


LEAVES = list(strategies.leaves())
TRANSFORMER = list(strategies.leaves_of_a_transformer())


@pytest.mark.parametrize(("path", "value"), LEAVES, ids=[".".join(map(str, path)) for path, _ in LEAVES])
def test_every_field_of_the_spec_changes_a_child_or_a_condition(path: strategies.Path, value: Any) -> None:
    history = {"revisionHistoryLimit": 0} if path[-1] == "revisionHistoryLimit" else {}
    other = strategies.changed(path, history.get(str(path[-1]), value))

    assert lived(other) != lived(strategies.FULL)


@pytest.mark.parametrize(("path", "value"), TRANSFORMER, ids=[".".join(map(str, path)) for path, _ in TRANSFORMER])
def test_every_field_of_a_transformer_makes_another_revision_with_other_pods(path: strategies.Path, value: Any) -> None:
    specs = transformers.WHOLE, strategies.changed(path, value, of=transformers.WHOLE)
    names, pods = zip(*(_pods(spec) for spec in specs), strict=True)

    assert names[0] != names[1]
    assert pods[0] != pods[1]


def _pods(written: dict[str, Any]) -> tuple[str, Any]:
    """The name of a revision, and what its pods are made of but for the name."""
    made = builders.revision(strategies.parsed(written))
    rendered = objects.render(made, owner=builders.identity())
    return made.name, (json.dumps(rendered.predictor).replace(made.name, ""), rendered.config, rendered.transformer)
