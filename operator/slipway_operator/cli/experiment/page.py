"""The report as one HTML file that needs nothing else: no script, no font, no picture from elsewhere."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from slipway_operator.cli.experiment import figures, headline, picture, sentences, stylesheet
from slipway_operator.cli.experiment.comparing import Compared
from slipway_operator.cli.experiment.content import Arm, Guardrail, Report, Secondary
from slipway_operator.cli.experiment.history import Change
from slipway_operator.cli.experiment.markup import Child, Markup, document, style, tag, together
from slipway_statistics.adaptive import Moves

_GOOD: Final = frozenset({"Winning", "Won", "Shown"})
_BAD: Final = frozenset({"Harmful", "Unhealthy", "RolledBack", "Crossed"})

_TABLE_OF_LOOKS: Final = 12
"""Looks that are told in numbers below a picture; the picture and ``--json`` have more."""

_ROWS_AT_ONCE: Final = 24
"""Of the table of strata; one of more rows, as a bandit's, is folded. On a phone these are a screen."""

_OF: Final = {"Closed": "closed windows", "ToDate": "outcomes to date", "Scores": "by scores"}

_SCORES: Final = (
    "Of a bandit the difference is of scores: each unit is weighed by the share that its arm had. It is not the difference of the two values, "
    "which are of units that came when the bandit favoured their arm."
)

_NEVER_SEEN: Final = "no loss would have been seen yet"


def html(report: Report) -> str:
    """The whole page."""
    title = f"{report.experiment}: {report.verdict}"
    return document(
        tag(
            "head",
            tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            # Nothing is loaded and nothing runs, whatever a name in the page says.
            tag("meta", http_equiv="Content-Security-Policy", content="default-src 'none'; style-src 'unsafe-inline'"),
            tag("title", title),
            style(stylesheet.TEXT),
        ),
        tag(
            "body",
            _header(report),
            tag(
                "main",
                *(_arm(arm, report, number=number) for number, arm in enumerate(report.arms, start=1)),
                _units(report),
                _shares(report.bandit) if report.bandit is not None else None,
                _claims(report),
                _quality(report),
                _what_happened(report.changes),
            ),
            _footer(report),
        ),
    )


def _header(report: Report) -> Markup:
    first, *rest = report.headline
    state = "It is over." if report.final else "It is not over: this is what is known so far."
    return tag(
        "header",
        tag("h1", report.experiment),
        tag("p", _badge(report.verdict)),
        tag("p", first, class_="lead"),
        *(tag("p", sentence) for sentence in rest),
        tag(
            "p",
            f"{state} {_plural(report.looks, 'look')} over {figures.duration(report.elapsed_s)}, the last at {figures.moment(report.last_at)}.",
            class_="soft",
        ),
    )


def _arm(arm: Arm, report: Report, *, number: int) -> Markup:
    stopped = f" It was stopped after look {arm.sequence}, and what follows is from then." if arm.stopped else ""
    return tag(
        "section",
        tag("h2", f"{arm.name} against {report.control} "),
        tag("p", _badge(arm.verdict), f" {sentences.findings(arm.findings)}{stopped}"),
        _figure(arm, report, number=number) if arm.points else tag("p", f"There is no picture: {_without_points(arm)}."),
        _primary(arm, report),
        _guardrails(arm),
        _secondary(arm, report) if arm.secondary else None,
    )


def _without_points(arm: Arm) -> str:
    found = arm.primary_to_date if arm.points_of == "ToDate" else arm.primary
    return found.missing or "there was no interval at any look"


def _figure(arm: Arm, report: Report, *, number: int) -> Markup:
    unit = arm.primary.scale.difference_unit.strip()
    by = _OF[arm.points_of]
    caption = (
        f"Difference in {arm.primary.metric}{f', in {unit}' if unit else ''}, {arm.name} minus {report.control}, {by}. Shaded: the "
        f"{figures.level(arm.primary.error)} interval; dashed: the estimate; dotted: ± the least effect that matters. Time is on a scale of its "
        "root. An interval that was wider than the picture is cut off at its edge."
    )
    marks = picture.marks(arm.points)
    return together(
        [
            tag(
                "figure",
                picture.draw(arm, minimum_effect=report.minimum_effect, identity=f"arm-{number}"),
                tag("figcaption", caption),
                tag(
                    "ol",
                    *(
                        tag(
                            "li",
                            _became(mark),
                        )
                        for mark in marks
                    ),
                    class_="soft",
                )
                if marks
                else None,
            ),
            _numbers(arm),
        ]
    )


def _became(mark: picture.Mark) -> str:
    return f"{mark.before} became {mark.point.verdict} at look {mark.point.sequence}, after {figures.duration(mark.point.elapsed_s)}."


def _numbers(arm: Arm) -> Markup:
    """The picture for who cannot see it."""
    scale, points = arm.primary.scale, arm.points
    changed = {mark.point.sequence for mark in picture.marks(points)[:_TABLE_OF_LOOKS]}
    every = max(1, -(-len(points) // _TABLE_OF_LOOKS))
    shown = [point for place, point in enumerate(points) if place % every == 0 or point.sequence in changed or point is points[-1]]
    rows = (
        (
            str(point.sequence),
            figures.duration(point.elapsed_s),
            scale.difference(point.estimate, reach=(point.upper - point.lower) / 2),
            scale.interval(point.lower, point.upper),
            point.verdict,
        )
        for point in shown
    )
    table = _table(f"{arm.primary.metric} of {arm.name} at some looks", ("Look", "After", "Estimate", "Interval", "Verdict"), rows)
    return _folded(table, of="The picture in numbers")


def _primary(arm: Arm, report: Report) -> Markup:
    scored = arm.primary.counted == "Scores"
    rows = [
        (f"{arm.primary.metric}, {'by scores' if scored else 'closed windows'}", *_told(arm.primary, control=report.control, arm=arm.name)),
        (f"{arm.primary_to_date.metric}, outcomes to date", *_told(arm.primary_to_date, control=report.control, arm=arm.name)),
    ]
    shrunk = tag("p", _shrunk(arm)) if arm.primary.interval is not None else None
    p = f"Always-valid p of no effect: {figures.probability(arm.p)}"
    if arm.holm is not None and len(report.arms) > 1:
        p += f", {figures.probability(arm.holm)} among all arms by Holm's correction"
    return together(
        [
            tag("h3", "Primary metric"),
            _table(
                "What a win is read from, and what harm is read from",
                ("Metric", "Values", f"Difference and {figures.level(arm.primary.error)} interval"),
                rows,
            ),
            tag("p", _SCORES, class_="soft") if scored else None,
            shrunk,
            tag("p", f"{p}.") if arm.primary.interval is not None else None,
            _simpson(arm),
        ]
    )


def _shrunk(arm: Arm) -> str | None:
    found = arm.primary.interval
    if found is None or found.shrunk is None:
        return None
    raw, shrunk = (arm.primary.scale.difference(number, reach=found.reach) for number in (found.estimate, found.shrunk))
    label = f" was {headline.TENDS_HIGH}" if arm.verdict == "Winning" else " is the raw estimate"
    return f"{raw}{label}; shrunken by what is still unknown it is {shrunk}."


def _simpson(arm: Arm) -> Markup | None:
    pooled = arm.pooled
    if pooled is None:
        return None
    scale = arm.primary.scale
    stratified, together_ = (scale.difference(number, reach=pooled.standard_error) for number in (pooled.stratified, pooled.pooled))
    if not pooled.differ:
        return tag(
            "p",
            f"Within the {pooled.strata} strata the difference is {stratified}, with all units thrown together {together_}: about the same.",
            class_="soft",
        )
    return tag(
        "p",
        tag("strong", "The ramp would have deceived: "),
        f"with all units thrown together the difference would be {together_}, and within the {pooled.strata} strata it is {stratified}. Base rate "
        "and shares of the arms changed at the same time (Simpson's paradox). Only the second is right, and it is the one that decides.",
    )


def _guardrails(arm: Arm) -> Markup:
    if not arm.guardrails:
        return together([tag("h3", "Guardrails"), tag("p", "There is none: nothing but the primary metric can stop this arm.")])
    rows = [row for guardrail in arm.guardrails for row in _guardrail(guardrail)]
    return together(
        [
            tag("h3", "Guardrails"),
            _table(
                "Crossed: the whole interval is beyond the margin. Shown: the whole interval is better than that. NotShown: neither.",
                ("Guardrail", "State", "Difference and interval", "Margin"),
                rows,
            ),
        ]
    )


def _guardrail(guardrail: Guardrail) -> Iterator[tuple[Child, ...]]:
    """Closed windows and outcomes to date have a row each, where they are not the same."""
    closed, to_date = guardrail.closed, guardrail.to_date
    worse = "+" if closed.better == "Lower" else figures.MINUS
    margin = f"{worse}{closed.scale.size(guardrail.margin, reach=guardrail.margin)}" if guardrail.margin else "no worse at all"
    same = closed.counted == "Requests" or closed == to_date
    what = ", requests of this step" if closed.counted == "Requests" else "" if same else ", closed windows"
    state = together([_badge(guardrail.state), tag("br"), tag("span", sentences.GUARDRAILS.get(guardrail.state, ""), class_="soft")])
    yield (f"{closed.metric}{what}", state, _difference(closed), margin)
    if not same:
        yield (f"{closed.metric}, outcomes to date", "", _difference(to_date), margin)


def _secondary(arm: Arm, report: Report) -> Markup:
    rows = [(_role(one), *_told(one.compared, control=report.control, arm=arm.name), _p(one)) for one in arm.secondary]
    caption = (
        "Nothing is decided by these. "
        + ("Strata of a bandit grew by what was seen before them: read these with care. " if report.bandit is not None else "")
        + ("p is always valid, and in brackets corrected for all secondary metrics of all arms (Holm)." if report.final else "")
        + ("" if report.final else "p is always valid; it is corrected for the number of metrics when the experiment is over.")
    )
    level = figures.level(arm.secondary[0].compared.error)
    return together([tag("h3", "Other metrics"), _table(caption, ("Metric", "Values", f"Difference and {level} interval", "p"), rows)])


def _role(one: Secondary) -> str:
    return f"{one.compared.metric} ({one.compared.role.lower()})"


def _p(one: Secondary) -> str:
    if one.p is None:
        return "only observed" if one.compared.role == "Observe" else "nothing compared yet"
    return figures.probability(one.p) + (f" ({figures.probability(one.holm)})" if one.holm is not None else "")


def _told(one: Compared, *, control: str, arm: str) -> tuple[Child, Child]:
    """Values of both arms, and the difference."""
    found = one.interval
    if found is None:
        return "none", _difference(one)
    what = "requests" if one.counted == "Requests" else "units"
    values = together(
        [
            tag("span", f"{control} {one.scale.value(found.control, reach=found.reach)}", class_="n"),
            tag("br"),
            tag("span", f"{arm} {one.scale.value(found.arm, reach=found.reach)}", class_="n"),
            tag("br"),
            tag("span", f"{figures.count(found.control_units)} and {figures.count(found.arm_units)} {what}", class_="soft"),
        ]
    )
    return values, _difference(one)


def _difference(one: Compared) -> Child:
    """Estimate, interval and lift, or why there is none."""
    found = one.interval
    if found is None:
        return f"no interval: {one.missing}"
    lift = found.lift
    reach = (lift.upper - lift.lower) / 2 if lift is not None else 0.0
    relative = (
        f"{figures.lift(lift.estimate, reach=reach)} of control ({figures.lift(lift.lower, reach=reach)} to {figures.lift(lift.upper, reach=reach)})"
        if lift is not None
        else "control is too near to zero for a lift"
        if one.counted == "Units"
        else None
    )
    return together(
        [
            tag("strong", one.scale.difference(found.estimate, reach=found.reach), class_="n"),
            tag("br"),
            tag("span", one.scale.interval(found.lower, found.upper)),
            together([tag("br"), tag("span", relative, class_="soft")]) if relative else None,
            together([tag("br"), "decides nothing: its cap is not known yet"]) if one.unresolved else None,
        ]
    )


def _units(report: Report) -> Markup:
    ratio, control = report.sample_ratio, report.control
    arms = (control, *dict.fromkeys(arm for stratum in report.strata for arm in stratum.slots if arm != control))
    rows = []
    for stratum in report.strata:
        for arm in arms:
            if arm in stratum.slots:
                units, expected = stratum.units.get(arm, 0), stratum.expected[arm]
                rows.append(
                    (
                        f"{stratum.name}{f' ({stratum.percent:g} %)' if stratum.percent is not None and arm == arms[0] else ''}",
                        arm,
                        f"{stratum.slots[arm] / 100:g} %",
                        figures.count(units),
                        figures.count(expected),
                    )
                )
    believed = ratio.p > ratio.alpha
    said = "as they should be" if believed else "not as they should be: units went missing in an arm, and no difference can be believed"
    loss = f"a loss of {figures.percent(ratio.smallest_loss)} of an arm's units would have been seen by now" if ratio.smallest_loss else _NEVER_SEEN
    waiting = report.strata[-1].waiting if report.strata else 0
    held = (
        f" {waiting / 100:g} % of the slots are in no arm (a later step takes them, or their arm was stopped), and their units count nowhere."
        if waiting
        else ""
    )
    table = _table(
        "Units by step of the ramp; in brackets what the treatments had together",
        ("Stratum", "Arm", "Share of slots", "Units", "Expected"),
        rows,
        numbers_from=2,
    )
    return tag(
        "section",
        tag("h2", "Units and their split"),
        tag(
            "p",
            f"Units came {said}: p of the split is {figures.probability(ratio.p)} (an alarm at {figures.probability(ratio.alpha)} or "
            f"less), and {loss}.{held}",
        ),
        _folded(table, of=f"{_plural(len(report.strata), 'stratum', many='strata')} in numbers") if len(rows) > _ROWS_AT_ONCE else table,
    )


def _folded(table: Markup, *, of: str) -> Markup:
    """What is too long for who did not ask."""
    return tag("details", tag("summary", of), table)


def _shares(moves: Moves) -> Markup:
    """Where a bandit's shares are and go."""
    stays = f" They stay as they are: {sentences.LACKS.get(moves.lacks, moves.lacks)}." if moves.lacks is not None else ""
    rows = [(arm, figures.percent(share), figures.percent(moves.next_shares.get(arm, share))) for arm, share in moves.shares.items()]
    return tag(
        "section",
        tag("h2", "Shares of the bandit"),
        tag("p", f"Shares follow what the arms earn, and no arm gets less than {figures.percent(moves.rules.floor)}.{stays}"),
        _table("Of new units, in this stratum and in the next", ("Arm", "Now", "Next"), rows, numbers_from=1),
    )


def _claims(report: Report) -> Markup:
    arms, metric = len(report.arms), report.primary
    shared = f" Each of {arms} arms beside control is judged with its share of it, so its intervals are wider." if arms > 1 else ""
    return tag(
        "section",
        tag("h2", "What may be claimed"),
        tag(
            "p",
            f"If no arm were better or worse, the chance that {metric} ever says so, at any of all looks, is {figures.percent(report.alpha)} at "
            f"most.{shared} With the guardrails' alarms added it is {figures.percent(report.declared_error)} that anything wins or is stopped "
            "wrongly.",
        ),
        tag(
            "p",
            "The interval holds at every look at once, so it may be read at any time and the experiment stopped at any time. A single estimate may "
            "not: experiments are stopped when it is high.",
        ),
        tag(
            "p",
            f"A win needs {figures.count(report.minimum_units_per_arm)} units of each arm with closed windows, "
            f"{figures.duration(report.minimum_duration_s)} at least, and each guardrail shown to be within its margin. After "
            f"{figures.duration(report.maximum_duration_s)} it ends without an answer.",
        ),
    )


def _quality(report: Report) -> Markup:
    quality = report.quality
    share = quality.in_two_arms / quality.units if quality.units else 0.0
    age, most = quality.newest_outcome_age_s, quality.most_silence_s
    newest = "no outcome came in yet" if age is None else f"{figures.duration(age)} old"
    rows = [
        ("Units exposed", figures.count(quality.units), ""),
        (
            "Units seen in two arms",
            f"{figures.count(quality.in_two_arms)} ({figures.percent(share, places=2)})",
            f"{figures.percent(quality.most_in_two_arms)}",
        ),
        ("Newest outcome at the last look", newest, figures.duration(most) if most is not None else "not limited"),
        ("Metrics whose cap is not known", ", ".join(quality.unresolved_caps) or "none", ""),
    ]
    return tag(
        "section",
        tag("h2", "Quality of the data"),
        _table("At the last look; beyond the most that is allowed nothing is decided", ("What", "Seen", "Most"), rows),
    )


def _what_happened(changes: Sequence[Change]) -> Markup:
    rows = [
        (
            str(change.sequence),
            together([tag("span", figures.moment(change.at)), tag("br"), tag("span", f"after {figures.duration(change.elapsed_s)}", class_="soft")]),
            together(
                [
                    _badge(change.verdict),
                    f" {sentences.findings(change.findings)}",
                    f" Done: {sentences.action({'action': change.action, 'arm': change.arm})}." if change.action else None,
                ]
            ),
        )
        for change in changes
    ]
    return tag(
        "section",
        tag("h2", "What happened"),
        _table("Looks at which the verdict changed or something was done", ("Look", "When", "Verdict and reason"), rows),
    )


def _footer(report: Report) -> Markup:
    between = f"from {figures.moment(report.first_at)} to {figures.moment(report.last_at)}"
    again = "slipway experiment replay computes each of them again from its inputs."
    return tag("footer", tag("p", f"Made of {_plural(report.looks, 'recorded look')}, {between}. {again}"))


def _table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[Child]], *, numbers_from: int | None = None) -> Markup:
    """A table whose rows have a head of their own; it scrolls by itself where it is wider than the page."""

    def kind(place: int) -> str | None:
        return "num" if numbers_from is not None and place >= numbers_from else None

    head = tag("tr", *(tag("th", text, scope="col", class_=kind(place)) for place, text in enumerate(heads)))
    body = [
        tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell, class_=kind(place)) for place, cell in enumerate(row[1:], start=1)))
        for row in rows
    ]
    return tag(
        "div",
        tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *body)),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=caption,
    )


def _badge(word: str) -> Markup:
    return tag("span", word, class_=f"verdict{' good' if word in _GOOD else ' bad' if word in _BAD else ''}")


def _plural(number: int, noun: str, *, many: str | None = None) -> str:
    return f"{figures.count(number)} {noun if number == 1 else many or noun + 's'}"
