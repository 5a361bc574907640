"""How many meet an arm that is bad before it is stopped, and by how much an effect is flattered that is seen when a test stops."""

import math
from collections.abc import Iterator

import numpy as np

from bench.experiments import looks, power, units
from bench.operator import figures
from bench.operator.figures import Figure

PLANNED = 10_000

# Treated units that come between two looks; conversions come within 24 h, 6 h after the first request on average. Looks every 10 minutes at 50/50.
_EACH = 1000
_HOUR = 6


def exposed(*, rate: float, effect: float, runs: int, seed: int, looks_made: int = 120) -> tuple[list[float], list[float]]:
    """Treated units until harm is seen, from outcomes to date and from closed windows; infinite where it never is.

    A look from closed windows sees what a look to date would if all came at once, and sees it 24 h later; the units of these hours are exposed too.
    """
    random = np.random.default_rng(seed)
    split = units.even(looks=looks_made, each=_EACH)
    open_ones = units.to_date(split, rate=rate, lag_looks=6 * _HOUR, window=24 * _HOUR, runs=runs, random=random, effect=effect)
    closed = units.proportion(split, rate=rate, effect=rate * effect, runs=runs, random=random)
    by_date = [_units(look, late=0) for look in looks.first(looks.series(open_ones, planned=PLANNED).harms)]
    by_window = [_units(look, late=24 * _HOUR) for look in looks.first(looks.series(closed, planned=PLANNED).harms)]
    return by_date, by_window


def rows(runs: int) -> Iterator[Figure]:
    """An arm that halves conversions."""
    for rate in (0.1, 0.05):
        by_date, by_window = exposed(rate=rate, effect=-0.5, runs=runs, seed=2300)
        name = f"half of {rate:g}, 6,000 treated units an hour: exposed until stopped"
        yield figures.at_most(f"{name}, outcomes to date (median)", figures.quantile(by_date, 0.5), "units", limit=20_000)
        yield figures.stated(f"{name}, outcomes to date (99 of 100)", figures.quantile(by_date, 0.99), "units")
        yield figures.stated(f"{name}, closed windows (median)", figures.quantile(by_window, 0.5), "units")
        alone = figures.quantile(_at_low_traffic(rate=rate, runs=runs), 0.5)
        yield figures.stated(f"half of {rate:g}, 100 treated units an hour: exposed until stopped (median)", alone, "units")
    yield from flattery(runs)


def flattery(runs: int) -> Iterator[Figure]:
    """The estimate at a win over the truth: raw, shrunken, and how often the sure end of the interval is above the truth."""
    for part, published, slack in ((1.0, 1.3, 0.15), (0.5, 2.2, 0.4)):
        raw, shrunk, over = flattered(part, runs=runs, seed=2310)
        name = f"{part:g} of the planned effect: seen at a win over the truth"
        yield Figure(name=name, value=round(raw, 3), unit="", goal=f"{published:g} ± {slack:g}", ok=abs(raw - published) <= slack)
        yield figures.stated(f"{name}, shrunken", shrunk, "")
        yield figures.at_most(f'{part:g} of the planned effect: "at least" is more than the truth', over, "of all runs", limit=0.025)


def flattered(part: float, *, runs: int, seed: int) -> tuple[float, float, float]:
    """Means over the runs that win by twice the fixed size; the last of all runs."""
    raw, shrunk, over, every = [], [], 0, 0
    truth = part * power.EFFECT
    for totals in power.experiments(effect=truth, times=2, runs=runs, seed=seed):
        found = looks.series(totals, planned=power.PLANNED)
        every += len(found.wins)
        for run, look in enumerate(looks.first(found.wins)):
            if look is not None:
                estimate, u = float(found.estimate[run, look]), float(found.u[run, look])
                raw.append(estimate / truth)
                shrunk.append(estimate * u / (u + 1) / truth)
                over += bool(found.lower[run, look] > truth)
    if not raw:
        return math.nan, math.nan, 0.0
    return float(np.mean(raw)), float(np.mean(shrunk)), over / every


def _at_low_traffic(*, rate: float, runs: int) -> list[float]:
    """A hundred treated units an hour, looked at each hour for two weeks."""
    split = units.even(looks=336, each=100)
    found = units.to_date(split, rate=rate, lag_looks=6, window=24, runs=runs, random=np.random.default_rng(2301), effect=-0.5)
    return [_units(look, late=0, each=100) for look in looks.first(looks.series(found, planned=PLANNED).harms)]


def _units(look: int | None, *, late: int, each: int = _EACH) -> float:
    return math.inf if look is None else float(each * (look + 1 + late))
