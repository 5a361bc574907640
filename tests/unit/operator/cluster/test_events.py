from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from slipway_operator import errors, metrics
from slipway_operator.cluster import events
from slipway_operator.cluster.events import Recorder
from slipway_operator.cluster.resources import Object, Resource

OWNER = {
    "apiVersion": "slipway.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "ranker", "namespace": "shop", "uid": "u1"},
}


class Sent:
    """Takes what a recorder sends: (reason, count) of each Event, or an error to raise once."""

    def __init__(self) -> None:
        self.created: list[Object] = []
        self.counts: list[int] = []
        self.error: Exception | None = None

    async def create(self, body: Mapping[str, Any]) -> Object:
        self._fail()
        self.created.append(dict(body))
        return dict(body)

    async def merge_patch(self, resource: Resource, name: str, patch: Mapping[str, Any], *, namespace: str | None = None) -> Object:
        self._fail()
        assert (resource.plural, name, namespace) == ("events", self.created[-1]["metadata"]["name"], "shop")
        self.counts.append(patch["series"]["count"])
        return {}

    def _fail(self) -> None:
        if self.error:
            error, self.error = self.error, None
            raise error


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def recorder(sent: Sent, clock: Clock, registry: CollectorRegistry) -> Recorder:
    return Recorder(sent, instance="pod-1", clock=clock, meters=metrics.Metrics.on(registry))


def emit(recorder: Recorder, message: str = "all well", owner: Mapping[str, Any] = OWNER) -> None:
    recorder.emit(owner, type="Normal", reason="RevisionReady", message=message)


async def test_an_event_says_what_happened_to_whom(recorder: Recorder, sent: Sent) -> None:
    emit(recorder)
    await recorder.flush()
    (event,) = sent.created
    name, moment = event["metadata"].pop("name"), event.pop("eventTime")
    assert name.startswith("ranker.")
    assert moment.endswith("Z")
    assert event == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"namespace": "shop"},
        "regarding": {"apiVersion": "slipway.dev/v1alpha1", "kind": "ModelDeployment", "namespace": "shop", "name": "ranker", "uid": "u1"},
        "type": "Normal",
        "reason": "RevisionReady",
        "action": "Reconcile",
        "note": "all well",
        "reportingController": "slipway.dev/operator",
        "reportingInstance": "pod-1",
    }


async def test_repeats_are_counted_on_one_event(recorder: Recorder, sent: Sent) -> None:
    emit(recorder)
    await recorder.flush()
    for _ in range(3):
        emit(recorder)
    await recorder.flush()
    await recorder.flush()
    assert (len(sent.created), sent.counts) == (1, [4])


async def test_repeats_before_the_first_was_sent_go_out_with_it(recorder: Recorder, sent: Sent) -> None:
    emit(recorder)
    emit(recorder)
    await recorder.flush()
    assert [event["series"]["count"] for event in sent.created] == [2]


async def test_another_message_or_object_is_another_event(recorder: Recorder, sent: Sent) -> None:
    emit(recorder)
    emit(recorder, message="something else")
    emit(recorder, owner={**OWNER, "metadata": OWNER["metadata"] | {"uid": "u2"}})  # type: ignore[operator]
    await recorder.flush()
    assert len(sent.created) == 3


async def test_a_repeat_after_a_long_silence_is_a_new_event(recorder: Recorder, sent: Sent, clock: Clock) -> None:
    emit(recorder)
    await recorder.flush()
    clock.now += events.SERIES_QUIET_S + 1
    emit(recorder)
    await recorder.flush()
    assert (len(sent.created), sent.counts) == (2, [])


async def test_an_event_that_expired_on_the_server_is_begun_anew(recorder: Recorder, sent: Sent) -> None:
    emit(recorder)
    await recorder.flush()
    emit(recorder)
    sent.error = errors.NotFound("gone", status=404)
    await recorder.flush()
    assert len({event["metadata"]["name"] for event in sent.created}) == 2


async def test_a_flood_about_one_object_is_cut_and_others_are_not(recorder: Recorder, sent: Sent, clock: Clock) -> None:
    for number in range(100):
        emit(recorder, message=str(number))
    emit(recorder, owner={**OWNER, "metadata": {"name": "calm", "uid": "u2"}})
    await recorder.flush()
    assert [event["metadata"]["namespace"] for event in sent.created] == ["shop"] * events.BURST + ["default"]
    emit(recorder, message="too soon")
    await recorder.flush()
    assert len(sent.created) == events.BURST + 1
    clock.now += 60
    await recorder.flush()
    assert sent.created[-1]["note"] == "too soon"


async def test_memory_is_bounded_however_many_things_happen(recorder: Recorder, registry: CollectorRegistry) -> None:
    for number in range(30_000):
        emit(recorder, message=str(number), owner={**OWNER, "metadata": {"name": "x", "uid": str(number % 6000)}})
    assert len(recorder._series) <= 4096
    assert len(recorder._unsent.all()) <= 4096 * events.BURST
    assert (registry.get_sample_value("slipway_events_total", {"result": "dropped"}) or 0) > 0


@pytest.mark.parametrize("owner", [{}, {"metadata": {}}], ids=str)
def test_emitting_never_raises(recorder: Recorder, registry: CollectorRegistry, owner: dict[str, Any]) -> None:
    emit(recorder, owner=owner)
    assert registry.get_sample_value("slipway_events_total", {"result": "failed"}) == 1


async def test_a_failure_to_send_is_counted_and_the_next_repeat_tries_again(recorder: Recorder, sent: Sent, registry: CollectorRegistry) -> None:
    sent.error = errors.Unavailable("no answer")
    emit(recorder)
    await recorder.flush()
    assert registry.get_sample_value("slipway_events_total", {"result": "failed"}) == 1
    emit(recorder)
    await recorder.flush()
    assert [event["series"]["count"] for event in sent.created] == [2]


async def test_a_long_message_is_cut_between_characters(recorder: Recorder, sent: Sent) -> None:
    emit(recorder, message="ä" * 2000)
    await recorder.flush()
    assert len(sent.created[0]["note"].encode()) <= 1024
