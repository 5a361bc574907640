"""What an experiment measures, as its registration says it."""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from slipway_ledger import amounts
from slipway_ledger.refusals import Refused

MOST_ARMS = 10
MOST_METRICS = 20
MOST_STRATA = 100
LONGEST_S = 90 * 86_400
WAITING = "waiting"
"""The arm of a unit whose slot a later step will take; no arm may be called so."""

Name: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
"""Of an experiment, a namespace or a service: as Kubernetes has names."""
Word: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,62})$")]
"""Of an arm, a metric or a stratum."""


class Cuped(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The covariate: what the unit did before it first met an arm."""

    days: Annotated[int, Meta(ge=1, le=90)]
    """How far back from the first exposure outcomes are added up."""


class Metric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    """One number for each unit, made of outcomes."""

    name: Word
    """Of the metric, and of the outcomes that it adds up."""
    type: Literal["Proportion", "Mean", "Ratio"]
    """Proportion: 1 where any outcome is above 0, else 0. Mean: the total. Ratio: the total, and the total of outcomes named ``denominator``."""
    window_seconds: Annotated[int, Meta(ge=1, le=LONGEST_S)]
    """How long after the first exposure outcomes count: from that moment on, and before it is this many seconds ago."""
    denominator: Word | None = None
    """Of a Ratio: the name of the outcomes below the line."""
    cap: Annotated[float, Meta(ge=1 / amounts.ONE, le=amounts.LARGEST)] | None = None
    """Greatest value that a unit counts with; absent until it is known, and never changed after that. Not for a Proportion."""
    cuped: Cuped | None = None
    """Absent: there is no covariate, and its sums are 0."""

    @property
    def width(self) -> int:
        """Elements of a unit's vector."""
        return 4 if self.type == "Ratio" else 2


class Definition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of a registration."""

    arms: Annotated[tuple[Word, ...], Meta(min_length=2, max_length=MOST_ARMS)]
    metrics: Annotated[tuple[Metric, ...], Meta(min_length=1, max_length=MOST_METRICS)]
    service: Name | None = None
    """The ModelDeployment that outcomes may name in place of the experiment; experiments of one service share its outcomes. Absent: the experiment's
    own name."""

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of outcomes, each once, in the order of the metrics."""
        return tuple(dict.fromkeys(name for metric in self.metrics for name in (metric.name, metric.denominator) if name))

    @property
    def history_s(self) -> int:
        """How long outcomes before an exposure are of use."""
        return max((metric.cuped.days * 86_400 for metric in self.metrics if metric.cuped), default=0)


_decoder = msgspec.json.Decoder(Definition)


def parse(body: bytes) -> Definition:
    """Read a registration. Refused: it is none, or its parts do not go together."""
    try:
        found = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"this is no definition of an experiment: {error}", reason="definition") from None
    wrong = [*_names(found), *(said for metric in found.metrics for said in _unfit(metric))]
    if wrong:
        raise Refused("; ".join(wrong), status=422, reason="definition")
    return found


def changed(old: Definition, new: Definition, *, name: str) -> tuple[int, ...]:
    """The metrics, by place, whose cap is now set. Refused (409): anything else is different."""
    capped = tuple(
        at for at, (before, after) in enumerate(zip(old.metrics, new.metrics, strict=False)) if before.cap is None and after.cap is not None
    )
    allowed = tuple(msgspec.structs.replace(metric, cap=new.metrics[at].cap) if at in capped else metric for at, metric in enumerate(old.metrics))
    if msgspec.structs.replace(old, metrics=allowed) != new:
        raise Refused(
            f"experiment {name} is registered with another definition, which stays as it is but for caps that are not set yet: "
            "end it and register another one",
            status=409,
            reason="changed",
        )
    return capped


def _names(found: Definition) -> list[str]:
    wrong = [f"the {what} {name} is there twice" for what, names in _lists(found) for name in sorted({one for one in names if names.count(one) > 1})]
    if WAITING in found.arms:
        wrong.append(f"an arm cannot be called {WAITING}: units that wait for a later step are told by that word")
    return wrong


def _lists(found: Definition) -> tuple[tuple[str, list[str]], ...]:
    return ("arm", list(found.arms)), ("metric", [metric.name for metric in found.metrics])


def _unfit(metric: Metric) -> list[str]:
    wrong = []
    if (metric.type == "Ratio") != (metric.denominator is not None):
        wrong.append(f"metric {metric.name}: a Ratio needs a denominator, and nothing else has one")
    if metric.denominator == metric.name:
        wrong.append(f"metric {metric.name}: its denominator is itself")
    if metric.type == "Proportion" and metric.cap is not None:
        wrong.append(f"metric {metric.name}: a Proportion is 0 or 1 and takes no cap")
    return wrong
