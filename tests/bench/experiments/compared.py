"""Random data through the package and through another one: the largest relative difference. Runs in the environment of ``oracles`` only."""

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.integrate
import scipy.optimize
import scipy.special
import scipy.stats

from bench.operator.figures import Figure
from slipway_statistics import bandit, betting, fixed, group_sequential, holm, plan, quantiles, sample_ratio, sequences, strata, sums
from slipway_statistics.bandit import Rewards
from slipway_statistics.betting import UNKNOWN, Bernstein, Prior, Share
from slipway_statistics.fixed import Declared
from slipway_statistics.quantiles import Quantile
from slipway_statistics.sums import Sums

Pair = tuple[float, float]
"""Ours and theirs."""

Comparison = Callable[[np.random.Generator], Iterator[Pair]]

SAME = 1e-6


def rows(sets: int) -> list[Figure]:
    """Every comparison on so many data sets."""
    # numpy and pandas tell each other here what they will stop doing; it is not about us.
    warnings.simplefilter("ignore")
    tables = [("gbstats", _GBSTATS), ("statsmodels", _STATSMODELS), ("scipy", _SCIPY)]
    try:
        import confseq.boundaries  # noqa: F401
    except ImportError:
        built = False
    else:
        built = True
        tables.append(("confseq", _CONFSEQ))
    found = [_compared(f"{package}: {name}", comparison, sets=sets, limit=limit) for package, table in tables for name, comparison, limit in table]
    return found if built else [*found, Figure(name="confseq: built for this Python", value=0, unit="", goal="built", ok=False)]


def _compared(name: str, comparison: Comparison, *, sets: int, limit: float) -> Figure:
    worst = 0.0
    for number in range(sets):
        for ours, theirs in comparison(np.random.default_rng([number, len(name)])):
            apart = abs(float(ours) - float(theirs))
            # What is below a billionth came of subtracting, and its digits are those of the rounding.
            worst = max(worst, apart / max(abs(float(theirs)), 1e-9) if math.isfinite(apart) else math.inf)
    return Figure(name=name, value=float(f"{worst:.1e}"), unit="relative difference", goal=f"<= {limit:g}", ok=worst <= limit)


def _values(draw: np.random.Generator, size: int) -> Any:
    """Outcomes and covariates that go together, heavy-tailed or zeros and ones."""
    before = draw.gamma(0.7, 3, size)
    if draw.random() < 0.5:
        return (draw.random(size) < 0.05 + 0.2 * before / (1 + before)).astype(float), before
    return draw.gamma(0.5, 2, size) + draw.normal(0.3, 0.2) * before, before


def _size(draw: np.random.Generator) -> int:
    return int(10 ** draw.uniform(1.5, 3))


def _mean(values: Any) -> Any:
    from gbstats.models.statistics import SampleMeanStatistic

    return SampleMeanStatistic(n=len(values), sum=float(values.sum()), sum_squares=float((values**2).sum()))


def _sums(values: Any, before: Any) -> Sums:
    return sums.of_units(zip(values.tolist(), before.tolist(), strict=True))


def _two_sided(draw: np.random.Generator) -> Iterator[Pair]:
    """Their interval of a difference of means and its p; ours with the plain variance of both arms, as theirs has."""
    from gbstats.frequentist.tests import SequentialConfig, SequentialTwoSidedTTest

    (a, x), (b, y) = _values(draw, _size(draw)), _values(draw, _size(draw))
    alpha, planned = float(draw.uniform(0.001, 0.2)), float(10 ** draw.uniform(2, 5))
    config = SequentialConfig(alpha=alpha, difference_type="absolute", sequential_tuning_parameter=planned)
    theirs = SequentialTwoSidedTTest(_mean(a), _mean(b), config)
    ours, others = _sums(b, y), _sums(a, x)
    u = sequences.information(len(a) + len(b), planned=planned, alpha=alpha)
    error, estimate = math.sqrt(ours.variance / ours.units + others.variance / others.units), ours.mean - others.mean
    low, high = theirs.confidence_interval
    yield sequences.two_sided(u, alpha=alpha) * error, (high - low) / 2
    yield estimate, (high + low) / 2
    yield sequences.always_valid_p(sequences.log_e_value(estimate / error, u=u)), theirs.p_value


def _ratio(draw: np.random.Generator) -> Iterator[Pair]:
    from gbstats.models.statistics import RatioStatistic

    size = _size(draw)
    below = draw.poisson(5, size) + 1.0
    above = draw.binomial(below.astype(int), draw.beta(1, 9, size)).astype(float)
    theirs = RatioStatistic(n=size, m_statistic=_mean(above), d_statistic=_mean(below), m_d_sum_of_products=float((above * below).sum()))
    ours = sums.of_units(zip(above.tolist(), below.tolist(), strict=True), things=sums.RATIO).moments
    assert ours is not None
    yield ours.value, theirs.mean
    yield ours.value_value / (size - 1), theirs.variance


def _adjusted(draw: np.random.Generator) -> Iterator[Pair]:
    """Variance of an arm with its covariate taken out."""
    from gbstats.models.statistics import RegressionAdjustedStatistic

    values, before = _values(draw, _size(draw))
    ours = _sums(values, before)
    moments = ours.moments
    assert moments is not None
    theta = strata.theta([{"one": ours}])
    theirs = RegressionAdjustedStatistic(
        n=len(values),
        post_statistic=_mean(values),
        pre_statistic=_mean(before),
        post_pre_sum_of_products=float((values * before).sum()),
        theta=theta,
    )
    yield moments.value - theta * moments.before, theirs.mean
    left = moments.value_value - 2 * theta * moments.value_before + theta * theta * moments.before_before
    yield left / (len(values) - 1), theirs.variance


def _theta(draw: np.random.Generator) -> Iterator[Pair]:
    """θ over both arms is the coefficient of the covariate beside one for the arm, by least squares."""
    import statsmodels.api

    (a, x), (b, y) = _values(draw, _size(draw)), _values(draw, _size(draw))
    arm = np.repeat([0.0, 1.0], [len(a), len(b)])
    design = np.stack([np.ones(len(arm)), arm, np.concatenate([x, y])], axis=1)
    fitted = statsmodels.api.OLS(np.concatenate([a, b]), design).fit()
    theta = strata.theta([{"one": _sums(a, x)}, {"one": _sums(b, y)}])
    yield theta, float(fitted.params[2])
    found = strata.compare({"one": _sums(a, x)}, {"one": _sums(b, y)}, kind="Mean", theta=theta)
    assert found is not None
    yield found.estimate, float(fitted.params[1])


def _holm(draw: np.random.Generator) -> Iterator[Pair]:
    from statsmodels.stats.multitest import multipletests

    p = (draw.random(int(draw.integers(1, 12))) ** 3).tolist()
    _, theirs, _, _ = multipletests(p, method="holm")
    yield from zip(holm.adjusted(dict(enumerate(p))).values(), theirs.tolist(), strict=True)


def _one_look(draw: np.random.Generator) -> Iterator[Pair]:
    from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

    (a, x), (b, y) = _values(draw, _size(draw)), _values(draw, _size(draw))
    compared = CompareMeans(DescrStatsW(b), DescrStatsW(a))
    _, p = compared.ztest_ind(usevar="unequal")
    low, high = compared.zconfint_diff(alpha=0.05, usevar="unequal")
    ours, others = _sums(b, y), _sums(a, x)
    error = math.sqrt(ours.variance / ours.units + others.variance / others.units)
    units = (ours.units, others.units)
    found = fixed.read(estimate=ours.mean - others.mean, standard_error=error, units=units, declared=Declared(units=2, alpha=0.05), before=None)
    yield from ((found.p, float(p)), (found.lower, float(low)), (found.upper, float(high)))


def _size_of_sample(draw: np.random.Generator) -> Iterator[Pair]:
    """One-sided at alpha/2: with both sides theirs counts findings in the wrong direction as power too."""
    from statsmodels.stats.power import NormalIndPower

    power, alpha, size = float(draw.uniform(0.7, 0.95)), float(draw.uniform(0.001, 0.1)), float(10 ** draw.uniform(-2.5, -0.5))
    theirs = NormalIndPower().solve_power(effect_size=size, alpha=alpha / 2, power=power, ratio=1.0, alternative="larger")
    ours = plan.units_per_arm(plan.Spread(control=4.0, arm=4.0), effect=2 * size, alpha=alpha, power=power)
    # Ours is the next whole number.
    yield min(max(ours - 1, theirs), ours), theirs


def _power(draw: np.random.Generator) -> Iterator[Pair]:
    from statsmodels.stats.power import NormalIndPower

    size, units, alpha = float(10 ** draw.uniform(-2, -0.5)), float(10 ** draw.uniform(1, 4)), float(draw.uniform(0.001, 0.2))
    theirs = NormalIndPower().power(effect_size=size, nobs1=units, alpha=alpha, ratio=1.0, alternative="two-sided")
    boundary = group_sequential.lan_demets((1.0,), alpha=alpha)
    yield group_sequential.crossing(boundary, fractions=(1.0,), drift=size * math.sqrt(units / 2))[0], float(theirs)


def _two_looks(draw: np.random.Generator) -> Iterator[Pair]:
    """Probability of going on after the second look: over z at the first, that of z at the second given it, whose correlation is √(t₁/t₂)."""
    early, drift = float(draw.uniform(0.05, 0.95)), float(draw.uniform(0, 3))
    first, second = (float(boundary) for boundary in draw.uniform(1, 3.5, 2))
    law, correlation, left = scipy.stats.norm, math.sqrt(early), math.sqrt(1 - early)

    def inside(z: float) -> float:
        mean = drift + correlation * (z - drift * correlation)
        return float(law.pdf(z - drift * correlation) * (law.cdf((second - mean) / left) - law.cdf((-second - mean) / left)))

    theirs, _ = scipy.integrate.quad(inside, -first, first, epsabs=1e-12, epsrel=1e-12, limit=200)
    yield 1 - sum(group_sequential.crossing([first, second], fractions=(early, 1.0), drift=drift)), theirs


def _sample_ratio(draw: np.random.Generator) -> Iterator[Pair]:
    arms = int(draw.integers(2, 5))
    shares = draw.dirichlet([3.0] * arms)
    counts = draw.multinomial(int(10 ** draw.uniform(0, 5)), shares)
    mixed = scipy.stats.dirichlet_multinomial.logpmf(counts, 100 * shares, counts.sum())
    exact = scipy.stats.multinomial.logpmf(counts, counts.sum(), shares)
    yield sample_ratio.log_e_value(counts.tolist(), shares.tolist()) + float(exact), float(mixed)


def _proportion(draw: np.random.Generator) -> Iterator[Pair]:
    """The mixture as an integral of likelihoods over the prior, and both ends by another search for roots."""
    units = int(10 ** draw.uniform(0.5, 3))
    conversions = int(draw.binomial(units, draw.beta(0.5, 3)))
    share, alpha = Share(units=units, conversions=conversions), float(draw.uniform(0.005, 0.2))
    prior = Prior.around(float(draw.beta(0.5, 3))) if draw.random() < 0.5 else UNKNOWN
    mixed = scipy.stats.betabinom.logpmf(conversions, units, prior.conversions, prior.others)

    def against(p: float) -> float:
        return float(mixed - scipy.stats.binom.logpmf(conversions, units, p))

    found = betting.proportion(share, alpha=alpha, prior=prior)
    seen = conversions / units
    if conversions:
        yield found.lower, scipy.optimize.brentq(lambda p: against(p) + math.log(alpha), 1e-300, seen, xtol=1e-16, rtol=1e-14)
    if conversions < units:
        yield found.upper, scipy.optimize.brentq(lambda p: against(p) + math.log(alpha), seen, 1 - 1e-15, xtol=1e-16, rtol=1e-14)


def _best_of_two(draw: np.random.Generator) -> Iterator[Pair]:
    (n, s), (m, r) = ((int(size), int(draw.binomial(int(size), 0.1))) for size in 10 ** draw.uniform(1, 4, 2))
    first, second = scipy.stats.beta(1 + s, 1 + n - s), scipy.stats.beta(1 + r, 1 + m - r)
    low, high = first.ppf(1e-12), first.ppf(1 - 1e-12)
    theirs, _ = scipy.integrate.quad(lambda x: first.pdf(x) * second.cdf(x), low, high, epsabs=1e-10, points=[first.mean()], limit=200)
    ours, _ = bandit.beta([Rewards.of_conversions(n, s), Rewards.of_conversions(m, r)])
    # Shares are used to a few digits: an absolute difference.
    yield 1 + ours, 1 + theirs


def _as_e(ours: float, theirs: float) -> Pair:
    """Two logarithms of e-values, so that what is relative is relative to the e-values."""
    return math.exp(ours - theirs), 1.0


def _normal_mixture(draw: np.random.Generator) -> Iterator[Pair]:
    from confseq import boundaries

    alpha, v, planned, z = float(draw.uniform(0.001, 0.2)), float(10 ** draw.uniform(0, 5)), float(10 ** draw.uniform(0, 5)), float(draw.normal(0, 3))
    u = sequences.information(v, planned=planned, alpha=alpha)
    yield _as_e(sequences.log_e_value(z, u=u), float(boundaries.normal_log_mixture(z * math.sqrt(v), v, planned, alpha, False)))
    yield sequences.two_sided(u, alpha=alpha) * math.sqrt(v), float(boundaries.normal_mixture_bound(v, alpha, planned, alpha, False))
    u = sequences.information(v, planned=planned, alpha=2 * alpha)
    yield _as_e(sequences.log_one_sided_e_value(z, u=u), float(boundaries.normal_log_mixture(z * math.sqrt(v), v, planned, alpha, True)))


def _beta_binomial(draw: np.random.Generator) -> Iterator[Pair]:
    """Evidence of quantiles, and the ends of their band: theirs is a real number, ours the last whole one within."""
    from confseq import boundaries

    p, alpha, planned, of = (
        float(draw.uniform(0.05, 0.99)),
        float(draw.uniform(0.001, 0.2)),
        int(10 ** draw.uniform(2, 4)),
        int(10 ** draw.uniform(1, 4)),
    )
    quantile, v, below = Quantile(share=p, alpha=alpha, planned=planned), p * (1 - p) * of, int(draw.binomial(of, p))
    theirs = boundaries.beta_binomial_log_mixture(below - p * of, v, planned * p * (1 - p), p, 1 - p, alpha, False)
    yield _as_e(quantiles.log_evidence(below, of=of, quantile=quantile), float(theirs))
    fewest, most = quantiles.band(of, quantile=quantile)
    above = p * of + float(boundaries.beta_binomial_mixture_bound(v, alpha, planned * p * (1 - p), p, 1 - p, alpha, False))
    under = p * of - float(boundaries.beta_binomial_mixture_bound(v, alpha, planned * p * (1 - p), 1 - p, p, alpha, False))
    yield min(max(above, most), most + 1) + 1, above + 1
    yield max(min(under, fewest), fewest - 1) + 1, under + 1


def _half(draw: np.random.Generator) -> Iterator[Pair]:
    """Evidence of shares against ½, where theirs can be tuned to the same prior: v_opt = κ/2, so that r = ¼ and both powers are ½."""
    from confseq import boundaries

    units = int(10 ** draw.uniform(0.5, 4))
    conversions = int(draw.binomial(units, draw.random()))
    theirs = boundaries.beta_binomial_log_mixture(conversions - units / 2, units / 4, sequences.kappa(0.05) / 2, 0.5, 0.5, 0.05, False)
    yield _as_e(betting.log_evidence(Share(units=units, conversions=conversions), p=0.5), float(theirs))


def _quantiles_of_two(draw: np.random.Generator) -> Iterator[Pair]:
    """Theirs puts a count where the evidence is least, whole or not; ours is at the nearest whole count, so never below and hardly above."""
    from confseq import quantiles as other

    a, b = (draw.integers(20, 200, int(10 ** draw.uniform(2.5, 3.5))) * 2 for _ in range(2))
    b = b + 2 * int(draw.integers(0, 15))
    share = float(draw.uniform(0.3, 0.9))
    theirs = -math.log(other.quantile_ab_p_value(a.astype(float), b.astype(float), share, 2000, 0.05))
    counted = [dict(zip(*(part.tolist() for part in np.unique(values, return_counts=True)), strict=True)) for values in (a, b)]
    ours = max(0.0, quantiles.log_e(*counted, quantile=Quantile(share=share, alpha=0.05, planned=2000)))
    yield _as_e(ours, theirs)


def _bernstein(draw: np.random.Generator) -> Iterator[Pair]:
    """Bets and sums by theirs. Their own variance starts at a mean of 0 where the paper has ½, so it is given to them."""
    from confseq import betting_strategies, predmix

    values, alpha = draw.beta(0.5, 2, int(10 ** draw.uniform(0.5, 2.5))), float(draw.uniform(0.005, 0.2))
    state = Bernstein(alpha=alpha)
    for value in values.tolist():
        state = state.after(value)
    means = (0.5 + np.append(0, np.cumsum(values)[:-1])) / np.arange(1, len(values) + 1)

    def end(x: Any, mean: Any) -> float:
        return float(
            predmix.predmix_lower_cs(
                x,
                v=(x - mean) ** 2,
                lambdas_fn=lambda y: betting_strategies.lambda_predmix_eb(y, truncation=0.5, alpha=alpha / 2),
                psi_fn=lambda bets: -np.log(1 - bets) - bets,
                alpha=alpha / 2,
            )[-1]
        )

    yield from ((state.interval.lower, end(values, means)), (state.interval.upper, 1 - end(1 - values, 1 - means)))


def _bets(draw: np.random.Generator) -> Iterator[Pair]:
    """What their hedged bets have made at our ends: 1/alpha."""
    from confseq.betting import betting_mart

    values, alpha = draw.beta(0.5, 2, int(10 ** draw.uniform(0.7, 2.5))), float(draw.uniform(0.005, 0.2))
    found = betting.bets(values.tolist(), alpha=alpha)
    for end, edge in ((found.lower, 0.0), (found.upper, 1.0)):
        # At 0 or 1 no value speaks against the end.
        if abs(end - edge) > 1e-12:
            yield math.log(betting_mart(values, end, alpha=alpha, theta=0.5, trunc_scale=0.5)[-1]), -math.log(alpha)


_GBSTATS: list[tuple[str, Comparison, float]] = [
    ("two-sided sequence and its p", _two_sided, SAME),
    ("variance of a ratio", _ratio, SAME),
    ("variance with a covariate taken out", _adjusted, SAME),
]
_STATSMODELS: list[tuple[str, Comparison, float]] = [
    ("coefficient of the covariate", _theta, SAME),
    ("Holm", _holm, SAME),
    ("the one look", _one_look, SAME),
    ("units for a power", _size_of_sample, SAME),
    ("power of one look", _power, SAME),
]
_SCIPY: list[tuple[str, Comparison, float]] = [
    ("two looks", _two_looks, SAME),
    ("sample ratio", _sample_ratio, SAME),
    ("exact interval of a share", _proportion, SAME),
    ("the better of two", _best_of_two, 3e-4),
]
_CONFSEQ: list[tuple[str, Comparison, float]] = [
    ("normal mixture", _normal_mixture, SAME),
    ("beta-binomial mixture, evidence and bounds", _beta_binomial, SAME),
    ("beta-binomial mixture against a half", _half, SAME),
    ("quantiles of two arms", _quantiles_of_two, 0.01),
    ("empirical Bernstein", _bernstein, SAME),
    ("hedged bets", _bets, SAME),
]
