"""What readers are told: sums at a moment, and the quantile that a cap is made of."""

import math
from typing import Any

import msgspec

from slipway_ledger import amounts, events, moments
from slipway_ledger.account import PHASES, Account
from slipway_ledger.book import Book
from slipway_ledger.refusals import Refused
from slipway_ledger.store.rows import Rows

PIECE = 5_000
"""Units that are closed between two looks at the clock."""
TALLIES = ("waiting", "notCounted", "seenInTwoArms", "repeats", "duplicates", "conflicts", "unknownMetric", "skewed", "refused")


def close(account: Account, rows: Rows, *, now: int, most: int | None = None) -> bool:
    """Count as closed what closed until ``now``, in the order of exposures, at most about ``most`` units of a metric; whether that was all.

    What was closed once stays so: a ``now`` before that changes nothing.
    """
    done = True
    for metric in range(len(account.definition.metrics)):
        left = most
        while account.closed_to[metric] < now:
            if left is not None and left <= 0:
                done = False
                break
            count = _close_piece(account, rows, metric, now)
            left = None if left is None else left - max(count, 1)
    return done


def _close_piece(account: Account, rows: Rows, metric: int, now: int) -> int:
    window = account.window(metric)
    after, until = account.closed_to[metric] - window, now - window
    until = rows.exposed_up_to(account, after=after, until=until, most=PIECE)
    units = rows.exposed(account, after=after, until=until)
    for unit in units:
        account.close(unit, metric)
    account.closed_to[metric] = until + window
    account.changed_closed = True
    return len(units)


def sums(book: Book, rows: Rows, *, namespace: str, name: str, now: int) -> dict[str, Any]:
    """The answer to a look. Refused (404): there is no such experiment."""
    account = book.find(namespace, name)
    close(account, rows, now=now)
    return {
        "experiment": account.key,
        "state": "Ended" if account.ended_at is not None else "Running",
        "now": events.moment(now),
        "metrics": [_metric(account, metric) for metric in range(len(account.definition.metrics))],
        "units": [
            {"arm": account.definition.arms[arm], "stratum": account.strata[stratum], "units": count}
            for (arm, stratum), count in sorted(account.units.items())
        ],
        "counts": {name: account.counts[name] for name in TALLIES},
        "newest": {what: _time(account.counts[f"newest{what.capitalize()}"]) for what in ("exposure", "outcome")},
        "ledger": {"unknownExperiment": book.counts["unknownExperiment"]},
    }


def _metric(account: Account, metric: int) -> dict[str, Any]:
    definition = account.definition.metrics[metric]
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for (at, arm, stratum, phase), total in sorted(account.sums.items()):
        if at == metric:
            told = found.setdefault((arm, stratum), {"arm": account.definition.arms[arm], "stratum": account.strata[stratum]})
            told[PHASES[phase]] = numbers(total, definition.width)
    for told in found.values():
        for name in PHASES:
            told.setdefault(name, numbers(moments.empty(definition.width), definition.width))
    return {
        "name": definition.name,
        "type": definition.type,
        "cap": definition.cap,
        "closedAt": events.moment(account.closed_to[metric]),
        "late": account.counts[f"late:{definition.name}"],
        "sums": list(found.values()),
    }


def numbers(total: moments.Moments, width: int) -> dict[str, Any]:
    """Units, totals and products, as exact decimal numbers: what slipway_statistics reads."""
    totals, products = total[1 : 1 + width], total[1 + width :]
    return {
        "units": total[0],
        "totals": [msgspec.Raw(amounts.plain(amount).encode()) for amount in totals],
        "products": [msgspec.Raw(amounts.plain(amount, places=2 * amounts.PLACES).encode()) for amount in products],
    }


def quantile(book: Book, rows: Rows, *, namespace: str, name: str, metric: str, q: float, now: int) -> dict[str, Any]:
    """The q-quantile of a metric over the first units whose windows have closed, whatever their arm: what a cap is made of.

    The first max(10,000, 10/(1 - q)) of them in the order of exposures, uncapped, numerators of a ratio: once there are so many it stays what it is.
    The value is null until then. It is the least value that at least a share q of the units does not exceed.
    """
    account = book.find(namespace, name)
    places = [at for at, definition in enumerate(account.definition.metrics) if definition.name == metric]
    if not places:
        raise Refused(f"experiment {account.key} has no such metric", status=404, reason="metric")
    [place] = places
    needed = needed_units(q)
    window = account.window(place)
    until = rows.exposed_up_to(account, after=-1, until=now - window, most=needed)
    units = rows.exposed(account, after=-1, until=until)
    while len(units) < needed and until < now - window:  # units that waited stood among them
        further = rows.exposed_up_to(account, after=until, until=now - window, most=needed)
        units += rows.exposed(account, after=until, until=further)
        until = further
    start = account.plan.starts[place]
    values = sorted(unit.cells[start] for unit in units[:needed])
    value = None
    if len(values) == needed:
        value = msgspec.Raw(amounts.plain(values[math.ceil(q * needed) - 1]).encode())
    return {"metric": metric, "q": q, "units": len(values), "needed": needed, "value": value}


def needed_units(q: float) -> int:
    """How many closed units a quantile is made of: .99 -> 10,000; .9999 -> 100,000."""
    return max(10_000, math.ceil(round(10 / (1 - q), 6)))


def _time(microseconds: int) -> Any:
    return events.moment(microseconds) if microseconds else None
