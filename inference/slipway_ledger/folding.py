"""What a group of events makes of the rows and sums that are there.

What is there afterwards depends on which events were taken and not on their order:

* a unit's arm, stratum and time are those of its earliest exposure; of two at the same time, waiting comes first, then the arm that is first in the
  definition, then the stratum whose name is first. An earlier one that comes late moves the unit, and its outcomes are counted anew;
* an outcome goes to the cell that its time says (``windows``), and is kept until then if its unit was not exposed yet;
* sums are whole numbers, which add up to the same in any order.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from slipway_ledger import windows
from slipway_ledger.account import WAITING, Account, Unit
from slipway_ledger.book import Book
from slipway_ledger.definitions import MOST_STRATA
from slipway_ledger.events import Exposure, Label, Outcome
from slipway_ledger.store.rows import Rows, Stored

DUPLICATE = "duplicate"
CONFLICT = "this idempotency key was used for another event: use a new key for a new event"
ENDED = "the experiment has ended"
FULL = f"the experiment has {MOST_STRATA} strata: name no more"


@dataclass(kw_only=True)
class _Work:
    """Rows of a group of events, on their way."""

    rows: dict[bytes, dict[int, Unit]]
    fresh: dict[bytes, list[Stored]] = field(default_factory=lambda: defaultdict(list))
    """Outcomes that no cell has yet, by unit."""
    before: dict[tuple[int, bytes], Unit | None] = field(default_factory=dict)
    """Units whose first exposure is another one now: as they were counted; None where they were not."""
    touched: dict[tuple[int, bytes], Unit] = field(default_factory=dict)
    """To be written."""


def fold(book: Book, rows: Rows, *, exposures: Sequence[Exposure], outcomes: Sequence[Outcome], labels: Sequence[Label]) -> None:
    """Take events: rows and sums are changed, and ``said`` of each event is set. Unavailable: nothing of it may stay, in the book neither."""
    known, moved = _requests(rows, exposures, outcomes)
    fresh = _new_outcomes(book, rows, outcomes, known)
    work = _Work(rows=rows.units({event.unit for event in exposures} | {event.unit for event in fresh} | {outcome[1] for outcome in moved}, book))
    stored = [
        (outcome.key, outcome.unit, outcome.stream, book.measures[outcome.stream, outcome.measure], outcome.time, outcome.value) for outcome in fresh
    ]
    for outcome in (*stored, *moved):
        work.fresh[outcome[1]].append(outcome)
    for exposure in exposures:
        _expose(book, rows, work, exposure)
    earlier = rows.outcomes_of({unit for _, unit in work.before}) if work.before else []
    _count_anew(book, work, earlier)
    _credit(book, work)
    rows.save_outcomes([*stored, *moved])
    if work.touched:
        rows.save_units(work.touched.values())
    _newest(book, fresh)
    if labels:
        _labels(book, rows, labels)


def _requests(rows: Rows, exposures: Sequence[Exposure], outcomes: Sequence[Outcome]) -> tuple[Mapping[bytes, bytes], list[Stored]]:
    """Find the units of outcomes that name requests: units by request, and outcomes that waited for a request which is known now, with their unit."""
    asked = {exposure.request for exposure in exposures if exposure.request} | {outcome.unit for outcome in outcomes if outcome.by_request}
    if not asked:
        return {}, []
    known = rows.requests(asked)
    new: dict[bytes, tuple[bytes, int, bytes, int]] = {}
    for exposure in exposures:
        if exposure.request and exposure.request not in known:
            known[exposure.request] = exposure.unit
            new[exposure.request] = (exposure.request, exposure.stream, exposure.unit, exposure.time)
    for outcome in outcomes:
        if outcome.by_request:
            outcome.unit = known.get(outcome.unit, outcome.unit)
    if not new:
        return known, []
    rows.save_requests(list(new.values()))
    return known, [(row[0], known[row[1]], row[2], row[3], row[4], row[5]) for row in rows.outcomes_of(new.keys())]


def _new_outcomes(book: Book, rows: Rows, outcomes: Sequence[Outcome], known: Mapping[bytes, bytes]) -> list[Outcome]:
    """Those that were not taken before."""
    stored = rows.outcomes_by_key({outcome.key for outcome in outcomes})
    there = {key: (known.get(row[1], row[1]), row[2], row[3], row[4], row[5]) for key, row in stored.items()}
    fresh = []
    for outcome in outcomes:
        measure = book.measures[outcome.stream, outcome.measure]
        content = outcome.unit, outcome.stream, measure, outcome.time, outcome.value
        before = there.setdefault(outcome.key, content)
        if before is content:
            fresh.append(outcome)
        else:
            outcome.said = DUPLICATE if before == content else CONFLICT
            for account in book.following(outcome.stream):
                account.count("duplicates" if before == content else "conflicts")
    return fresh


def _expose(book: Book, rows: Rows, work: _Work, exposure: Exposure) -> None:
    account = book.accounts.get(exposure.account)
    if account is None or account.ended_at is not None:
        exposure.said = ENDED
        return
    number = account.stratum(exposure.stratum)
    if number == len(account.strata):
        if number == MOST_STRATA:
            exposure.said = FULL
            account.count("refused")
            return
        account.strata.append(exposure.stratum)
        rows.save_stratum(account, number)
    account.seen("newestExposure", exposure.time)
    bit = 0 if exposure.arm == WAITING else 1 << exposure.arm
    unit = work.rows.setdefault(exposure.unit, {}).get(account.id)
    at = account.id, exposure.unit
    if unit is None:
        unit = Unit(
            account=account.id,
            unit=exposure.unit,
            arm=exposure.arm,
            stratum=number,
            exposed_at=exposure.time,
            arms=bit,
            cells=[0] * account.plan.cells,
        )
        work.rows[exposure.unit][account.id] = unit
        work.before[at] = None
        return
    same = (unit.exposed_at, unit.arm, unit.stratum) == (exposure.time, exposure.arm, number)
    if same:
        exposure.said = DUPLICATE
    account.count("repeats")
    is_first = (exposure.time, exposure.arm, exposure.stratum) < (unit.exposed_at, unit.arm, account.strata[unit.stratum])
    if not is_first and unit.arms | bit == unit.arms:
        return
    if at not in work.before:
        work.before[at] = unit.copy()
    unit.arms |= bit
    if is_first:
        unit.arm, unit.stratum, unit.exposed_at = exposure.arm, number, exposure.time


def _count_anew(book: Book, work: _Work, earlier: Iterable[Stored]) -> None:
    """Units that were exposed first, or earlier than was known: their cells are made of all their outcomes."""
    of: dict[bytes, list[Stored]] = defaultdict(list)
    for outcome in earlier:
        of[outcome[1]].append(outcome)
    for at, before in work.before.items():
        account, unit = book.accounts[at[0]], work.rows[at[1]][at[0]]
        if before is not None:
            account.leave(before)
        outcomes = {outcome[0]: outcome for outcome in (*of[at[1]], *work.fresh.get(at[1], ()))}  # a moved one may be among both
        if outcomes:
            told = ((book.names[row[3]], row[4], row[5]) for row in outcomes.values() if row[2] == account.stream)
            unit.cells = windows.cells(account.plan, exposed_at=unit.exposed_at, outcomes=told)
        account.enter(unit)
        work.touched[at] = unit


def _credit(book: Book, work: _Work) -> None:
    """Units whose exposure stays what it was: new outcomes are added to their cells."""
    for hashed, outcomes in work.fresh.items():
        for number, unit in work.rows.get(hashed, {}).items():
            account = book.accounts[number]
            if account.ended_at is not None or (number, hashed) in work.before:
                continue
            changes = [change for outcome in outcomes if outcome[2] == account.stream for change in _changes(account, unit, book, outcome)]
            if changes:
                account.credit(unit, changes)
                work.touched[number, hashed] = unit


def _changes(account: Account, unit: Unit, book: Book, outcome: Stored) -> Iterable[tuple[int, int]]:
    for part in account.plan.parts.get(book.names[outcome[3]], ()):
        goes = windows.place(part, exposed_at=unit.exposed_at, time=outcome[4], value=outcome[5])
        if goes and goes[1]:
            yield goes


def _newest(book: Book, outcomes: Sequence[Outcome]) -> None:
    newest: dict[int, int] = {}
    for outcome in outcomes:
        newest[outcome.stream] = max(newest.get(outcome.stream, 0), outcome.time)
    for stream, time in newest.items():
        for account in book.following(stream):
            account.seen("newestOutcome", time)


def _labels(book: Book, rows: Rows, labels: Sequence[Label]) -> None:
    there = rows.labels_by_key({label.key for label in labels})
    fresh = []
    for label in labels:
        content = label.request, label.stream, label.label, label.time
        before = there.setdefault(label.key, content)
        if before is content:
            fresh.append(label)
        else:
            label.said = DUPLICATE if before == content else CONFLICT
            book.count("duplicateLabels" if before == content else "conflictingLabels")
    rows.save_labels(fresh)
