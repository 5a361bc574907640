"""``slipway experiment plan``: how many units, how many days, what would be seen; of a bandit, how its shares will move and what it will lose."""

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from slipway_operator.api.v1alpha1.experiment import Experiment, ExperimentSpec
from slipway_operator.cli import files, validation
from slipway_operator.cli.documents import NotYamlError
from slipway_operator.cli.experiment import figures, foreseeing, sizing
from slipway_operator.cli.experiment.foreseeing import Foreseen
from slipway_operator.cli.experiment.looks import Unanswerable
from slipway_operator.cli.experiment.sizing import Cost, Known, Sized
from slipway_operator.cli.experiment.tables import columns
from slipway_statistics import record


def add_to(commands: Any) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "plan",
        help="say how long an experiment will take and what it would see",
        description="Says how many units and days an experiment takes, what it would see, and what each guardrail costs; of a bandit how its shares"
        " will move, what it will lose and how likely a verdict is. It asks no cluster.",
    )
    parser.add_argument("-f", "--filename", required=True, metavar="FILE", help="a manifest with one Experiment, or - for standard input")
    parser.add_argument("--units-per-day", required=True, type=_positive, metavar="N", help="new units a day: who comes again brings nothing")
    parser.add_argument("--baseline", type=_number, metavar="VALUE", help="control's value of the primary: 0.10 is 10 %% of a Proportion")
    parser.add_argument("--deviation", type=_positive, metavar="VALUE", help="standard deviation of the primary between units, for a Mean or a Ratio")
    parser.add_argument("--correlation", type=_correlation, metavar="R", help="of the primary with what the unit did before, where it has cuped")
    parser.add_argument(
        "--guardrail-baseline",
        action="append",
        default=[],
        type=_pair,
        metavar="NAME=SHARE",
        help="share that is bad; of latency-p95 the share of control's requests slower than its 95th percentile and the margin",
    )
    parser.add_argument(
        "--guardrail-deviation",
        action="append",
        default=[],
        type=_pair,
        metavar="NAME=VALUE",
        help="standard deviation of a guardrail that is a Mean or a Ratio",
    )
    parser.add_argument(
        "--lift",
        action="append",
        default=[],
        type=_pair,
        metavar="ARM=PERCENT",
        help="of a bandit: what the arm is assumed to bring more than control, in per cent of it (-5 is less); others bring the same."
        " Without any, the first arm beside control is better by the least effect that matters",
    )
    parser.add_argument("--requests-per-unit", type=_positive, default=1.0, metavar="N", help="for guardrails that routers count (%(default)g)")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    parser.set_defaults(answer=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the plan."""
    title, spec = _experiment(arguments.filename)
    known = Known(
        units_per_day=arguments.units_per_day,
        baseline=arguments.baseline,
        deviation=arguments.deviation,
        correlation=arguments.correlation,
        guardrails=dict(arguments.guardrail_baseline),
        deviations=dict(arguments.guardrail_deviation),
        requests_per_unit=arguments.requests_per_unit,
        lifts={arm: lift / 100 for arm, lift in arguments.lift},
    )
    found, told = _planned(spec, known, title=title)
    print(json.dumps(record.write(found), indent=2, ensure_ascii=False) if arguments.json else "\n".join(told))
    return 0


def _planned(spec: ExperimentSpec, known: Known, *, title: str) -> tuple[Sized | Foreseen, Iterator[str]]:
    """The plan, and the same for people."""
    if spec.mode == "Bandit":
        foreseen = foreseeing.foresee(spec, known)
        return foreseen, foreseeing.lines(foreseen, title=title)
    if known.lifts:
        raise Unanswerable("--lift is for mode Bandit; a plan of mode Test is made for the least effect that matters, minimumEffect in the spec")
    sized = sizing.size(spec, known)
    return sized, lines(sized, title=title)


def lines(found: Sized, *, title: str) -> Iterator[str]:
    """The plan for people."""
    scale = figures.SHARE if found.kind == "Proportion" else figures.PLAIN
    effect = scale.size(found.minimum_effect, reach=found.minimum_effect)
    relative = f", {figures.percent(found.minimum_effect / found.baseline)} of it" if found.baseline > 0 else ""
    yield f"{title}: {found.primary} {scale.value(found.baseline, reach=found.minimum_effect)}, the least effect that matters {effect}{relative},"
    yield f"{found.arms} arms, {figures.count(found.units_per_day)} new units a day. Units are of one arm; days have the ramp and the window in them."
    yield ""
    yield from columns(
        [
            ("a decision is expected at", f"{figures.count(found.units_per_arm)} units", ""),
            ("on average, if the effect is that large", f"{figures.count(found.mean_units)} units", days(found.expected_days)),
            ("at the longest", "", days(found.longest_days)),
            ("the spec asks for at least", "", days(found.minimum_days)),
            ("the spec ends it after", f"{figures.count(found.at_maximum.units_per_arm)} units", days(found.maximum_days)),
        ]
    )
    yield ""
    yield "Chance that this effect has won by then:"
    yield from columns(
        [
            *(
                (f"{one.times:g} x the plan", f"{figures.count(one.units_per_arm)} units", days(one.days), figures.percent(one.power))
                for one in found.powers
            ),
            (
                "when the spec ends it",
                f"{figures.count(found.at_maximum.units_per_arm)} units",
                days(found.maximum_days),
                figures.percent(found.at_maximum.power),
            ),
        ]
    )
    yield f"The smallest effect that is seen with 80 % by twice the plan: {scale.size(found.smallest_effect, reach=found.smallest_effect)}."
    yield ""
    yield from _guardrails(found.guardrails)
    yield ""
    yield "If another effect were the least that matters:"
    yield from columns(
        [
            ("effect", "of the baseline", "units", "expected", "longest"),
            *(
                (
                    scale.size(one.effect, reach=one.effect),
                    figures.percent(one.relative) if one.relative is not None else "",
                    figures.count(one.units_per_arm),
                    days(one.expected_days),
                    days(one.longest_days),
                )
                for one in found.effects
            ),
        ]
    )
    if not found.fits:
        yield ""
        yield (
            f"It may not fit: the longest is {days(found.longest_days)}, and maxDurationSeconds ends it after {days(found.maximum_days)}. "
            "Wait longer, give the treatments more units, or look for a larger effect."
        )


def days(number: float) -> str:
    """``3.2 days``; less than a tenth of a day in hours or minutes."""
    return f"{number:,.1f} days" if number >= 2 or number == 1 else figures.duration(number * sizing.DAY_S)


def _guardrails(costs: Sequence[Cost]) -> Iterator[str]:
    if not costs:
        yield "There is no guardrail."
        return
    yield "A win waits until each guardrail is shown to be kept. An arm that is no worse shows it, with a chance of 80 %, by:"
    yield from columns([_cost(cost) for cost in costs])
    if any(cost.requests_per_arm for cost in costs):
        yield "Requests are counted in the last step of the ramp, as if none had to do with another: users and stalls of pods make it more."


def _cost(cost: Cost) -> tuple[str, ...]:
    if cost.missing is not None:
        return cost.guardrail, f"not known: {cost.missing}"
    counted = (
        f"{figures.count(cost.units_per_arm)} units" if cost.units_per_arm is not None else f"{figures.count(cost.requests_per_arm or 0)} requests"
    )
    return cost.guardrail, counted, days(cost.days or 0.0)


def _experiment(name: str) -> tuple[str, ExperimentSpec]:
    """The one Experiment of a file.

    Raises:
        Unanswerable: there is none, more than one, or it is not valid.

    """
    try:
        found = [manifest for manifest in files.manifests([name]) if manifest.kind is not None and manifest.kind.name == "Experiment"]
    except NotYamlError as error:
        raise Unanswerable(f"{error}; give a YAML or JSON file with one Experiment") from error
    if len(found) != 1:
        raise Unanswerable(f"{name} has {len(found) or 'no'} Experiment{'s' * (len(found) > 1)}; give a file with one")
    [manifest] = found
    problems = manifest.problems(namespace=None)
    if problems:
        raise Unanswerable("\n".join([*map(manifest.sentence, problems), "the manifest is not valid; correct it (slipway validate) and plan again"]))
    return manifest.title.partition(" ")[2], Experiment.model_validate(validation.fields(manifest.body)).spec


def _positive(text: str) -> float:
    number = _number(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: it should be a number above 0")
    return number


def _correlation(text: str) -> float:
    number = _number(text)
    if not -1 < number < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: a correlation is above -1 and below 1")
    return number


def _pair(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    if not name or not number:
        raise argparse.ArgumentTypeError(f"{text!r}: it should be NAME=NUMBER")
    return name, _number(number)


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r}: it should be a number")
    return number
