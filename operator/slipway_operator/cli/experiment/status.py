"""``slipway experiment status``: one screen about one Experiment, from what its object says."""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from slipway_operator.api import conditions
from slipway_operator.api.v1alpha1.experiment import ArmStatus, Experiment, ExperimentSpec, ExperimentStatus, Interval, Metric
from slipway_operator.cli import files
from slipway_operator.cli.documents import NotYamlError
from slipway_operator.cli.experiment import figures, sentences, source
from slipway_operator.cli.experiment.figures import Scale
from slipway_operator.cli.experiment.looks import Unanswerable
from slipway_operator.cli.experiment.tables import columns
from slipway_operator.reconcile import summary
from slipway_operator.reconcile.experiment import telling

UNHEALTHY = "Unhealthy"


def add_to(commands: Any) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "status",
        help="say on one screen what an experiment knows and what happens next",
        description="Says what an Experiment's status knows: verdict, reason, lift, units, guardrails, ramp, and what happens next. "
        "Exit status 1 where it is Unhealthy: its data cannot be believed.",
    )
    source.add_object(parser, required=False)
    parser.add_argument(
        "-f", "--filename", metavar="FILE", help="read what `kubectl get xp NAME -o yaml` printed, and ask nobody; - for standard input"
    )
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    parser.set_defaults(answer=run)


def run(arguments: argparse.Namespace) -> int:
    """Print it; 1 where the experiment is Unhealthy."""
    body = _body(arguments)
    metadata = body.get("metadata") or {}
    title = "/".join(str(part) for part in (metadata.get("namespace"), metadata.get("name")) if part)
    found = _parsed(body, title=title)
    if arguments.json:
        told = {"experiment": title, "target": found.spec.target_ref.name, "next": next_step(found.spec, found.status, title=title)}
        print(json.dumps(told | {"status": found.status.model_dump(mode="json", by_alias=True, exclude_none=True)}, indent=2, ensure_ascii=False))
    else:
        print("\n".join(lines(found, title=title)))
    return 1 if found.status.verdict == UNHEALTHY else 0


def lines(found: Experiment, *, title: str) -> Iterator[str]:
    """The screen."""
    spec, status = found.spec, found.status
    verdict = status.verdict or "Pending"
    yield f"{title} on {spec.target_ref.name}: {verdict}{f' ({status.reason})' if status.reason else ''}"
    yield f"  {sentences.VERDICTS.get(verdict, verdict)}"
    if status.summary:
        yield f"  {status.summary}"
    elif status.reason is not None and status.reason in telling.REASONS:
        yield f"  {sentences.findings([(status.reason, ())])}"
    yield f"  Next: {next_step(spec, status, title=title)}"
    yield ""
    yield from _ramp(spec, status)
    yield from _sample_ratio(status)
    if status.arms:
        yield ""
        yield from columns([("arm", "units", "share", "verdict"), *(_arm(arm, spec, status) for arm in status.arms)])
    compared = [(arm, metric) for arm in status.arms for metric in arm.metrics]
    if compared:
        yield ""
        yield from columns([("metric", "arm", "difference", "interval", "of control", "state"), *_metrics(spec, compared)])
    yield from _conditions(status)


def next_step(spec: ExperimentSpec, status: ExperimentStatus, *, title: str) -> str:
    """What happens next, and what it waits for."""
    if status.decision is not None:
        after = "it is over" if status.decision.done else "routers are being told"
        return f"{sentences.action({'action': status.decision.action, 'arm': status.decision.arm})}; {after}."
    if spec.suspend:
        return "it is suspended and every unit is at control; set spec.suspend to false to go on."
    if status.proposal is not None:
        return f"{status.proposal.arm} is promoted once somebody agrees: {_annotate(title)} slipway.dev/approve={status.proposal.digest}"
    if status.started_at is None and _says(status, conditions.STALLED, "True"):
        return "nothing, until somebody acts on what is told below; a spec that has not begun may be changed."
    if status.started_at is None:
        return "it begins when its turn on the target has come and every router has the first step."
    if status.winning_since is not None:
        return f"the winner keeps its share for {figures.duration(spec.decision.confirm_seconds)} from {status.winning_since}, for a fresh estimate."
    if _says(status, conditions.DECIDED, "False", reason=conditions.HELD):
        return f"nothing, until somebody says so: {_annotate(title)} slipway.dev/experiment='rollback', or 'promote ARM'."
    if status.verdict == UNHEALTHY:
        return f"nothing but harm is decided, and at {_end(spec, status.started_at)} control is kept; find the cause, then delete it and begin anew."
    return f"{_next_share(spec, status)}; a decision as soon as the interval allows one, at the latest {_end(spec, status.started_at)}."


def _annotate(title: str) -> str:
    """What a person types before an annotation."""
    namespace, _, name = title.rpartition("/")
    return f"kubectl annotate xp {name}{f' -n {namespace}' if namespace else ''} --overwrite"


def _says(status: ExperimentStatus, kind: str, value: str, *, reason: str | None = None) -> bool:
    """Whether a condition has this value, and this reason where one is asked for."""
    return any(one.type == kind and one.status == value and reason in (None, one.reason) for one in status.conditions)


def _next_share(spec: ExperimentSpec, status: ExperimentStatus) -> str:
    if spec.mode == "Bandit":
        return "shares follow what the arms earn"
    step = status.traffic.step if status.traffic else 1
    if step >= len(spec.steps):
        return "the last step of the ramp stays"
    held = spec.steps[step - 1].hold_seconds
    return f"{spec.steps[step].percent} % after {figures.duration(held)} at {spec.steps[step - 1].percent} %, once harm could have been seen"


def _end(spec: ExperimentSpec, started_at: str) -> str:
    """When the longest time is over."""
    try:
        begun = datetime.fromisoformat(started_at)
    except ValueError:
        return f"{figures.duration(spec.analysis.max_duration_seconds)} after {started_at}"
    return (begun + timedelta(seconds=spec.analysis.max_duration_seconds)).isoformat(timespec="seconds").replace("+00:00", "Z")


def _ramp(spec: ExperimentSpec, status: ExperimentStatus) -> Iterator[str]:
    traffic = status.traffic
    if spec.mode == "Test":
        steps = " -> ".join(
            f"[{step.percent} %]" if traffic and place == traffic.step else f"{step.percent} %" for place, step in enumerate(spec.steps, start=1)
        )
        yield f"Ramp: {steps} of the units for {_all_of(spec)}{f', since {traffic.since}' if traffic and traffic.since else ''}"
    look = f"look {status.look.sequence} at {status.look.at}" if status.look else "not looked at yet"
    yield f"Units: {figures.count(status.units or 0)}; {look}; stratum {traffic.stratum if traffic else 'none'}"


def _all_of(spec: ExperimentSpec) -> str:
    return " and ".join(arm.name for arm in spec.treatments)


def _sample_ratio(status: ExperimentStatus) -> Iterator[str]:
    ratio = status.sample_ratio
    if ratio is None:
        yield "Sample ratio: not known, no unit has come"
        return
    loss = (
        f"a loss of {ratio.detectable_loss_percent} % of an arm would have been seen"
        if ratio.detectable_loss_percent
        else "no loss would have been seen yet"
    )
    yield f"Sample ratio: {ratio.summary}, p {ratio.p}; {loss}"


def _arm(arm: ArmStatus, spec: ExperimentSpec, status: ExperimentStatus) -> tuple[str, ...]:
    control = arm.name == spec.control.name
    verdict = "control" if control else "stopped" if arm.stopped else arm.verdict or "not looked at yet"
    return arm.name, figures.count(arm.units), f"{_slots(status).get(arm.name, 0) / 100:g} %", verdict


def _slots(status: ExperimentStatus) -> Mapping[str, int]:
    """How many slots each group has now."""
    found: dict[str, int] = {}
    begin = 0
    for run in status.traffic.slots if status.traffic else ():
        found[run.group] = found.get(run.group, 0) + run.before - begin
        begin = run.before
    return found


def _metrics(spec: ExperimentSpec, compared: Sequence[tuple[ArmStatus, Interval]]) -> Iterator[tuple[str, ...]]:
    """The primary first, then guardrails, then the rest; each with its arms."""
    known = {metric.name: metric for metric in spec.metrics}
    order = {"Primary": 0, "Guardrail": 1, "Secondary": 2, "Observe": 3}
    for arm, interval in sorted(compared, key=lambda pair: order[known[pair[1].metric].role] if pair[1].metric in known else 4):
        metric = known.get(interval.metric)
        yield (f"{interval.metric}{f' ({metric.role.lower()})' if metric else ''}", arm.name, *_interval(interval, _scale(metric)))


def _interval(found: Interval, scale: Scale) -> tuple[str, ...]:
    """Numbers of a status are texts; one that is no number stands as it is."""
    relative = f"{found.relative_percent} %" if found.relative_percent is not None else ""
    try:
        estimate, lower, upper = float(found.estimate), float(found.lower), float(found.upper)
    except ValueError:
        return found.estimate, f"{found.lower} to {found.upper}", relative, found.state or ""
    if found.relative_percent is not None:
        relative = f"{figures.signed(float(found.relative_percent), 1)} %"
    return scale.difference(estimate, reach=(upper - lower) / 2), scale.interval(lower, upper), relative, found.state or ""


def _scale(metric: Metric | None) -> Scale:
    return figures.SHARE if metric is not None and (metric.type == "Proportion" or metric.source == "Router") else figures.PLAIN


def _conditions(status: ExperimentStatus) -> Iterator[str]:
    """Those that say that something is not as it should be; Stalled last, since it needs somebody to act."""
    wrong = [one for one in status.conditions if one.type in summary.EXPERIMENT.concerns and one.status == "False"]
    wrong += [one for one in status.conditions if one.type == conditions.STALLED and one.status == "True"]
    if wrong:
        yield ""
    for one in wrong:
        yield f"{one.type} is {one.status} ({one.reason}): {one.message}"


def _body(arguments: argparse.Namespace) -> Mapping[str, Any]:
    if not arguments.filename:
        if not arguments.name:
            raise Unanswerable("name an experiment (slipway experiment status NAME), or give its object (-f FILE)")
        return source.experiment(arguments)
    try:
        found = [
            manifest.body for manifest in files.manifests([arguments.filename]) if manifest.kind is not None and manifest.kind.name == "Experiment"
        ]
    except NotYamlError as error:
        raise Unanswerable(f"{error}; give what `kubectl get xp NAME -o yaml` printed") from error
    named = [body for body in found if arguments.name in (None, (body.get("metadata") or {}).get("name"))]
    if len(named) != 1:
        what = f"Experiments named {arguments.name}" if arguments.name else "Experiments"
        raise Unanswerable(
            f"{arguments.filename} has {len(named) or 'no'} {what}; give what `kubectl get xp NAME -o yaml` printed, and a name where it has several"
        )
    body: Mapping[str, Any] = named[0]
    return body


def _parsed(body: Mapping[str, Any], *, title: str) -> Experiment:
    try:
        return Experiment.model_validate({"spec": body.get("spec"), "status": body.get("status") or {}})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise Unanswerable(
            f"{title} is no Experiment as this slipway knows it: {where}: {first['msg']}; use the slipway of the cluster's version"
        ) from error
