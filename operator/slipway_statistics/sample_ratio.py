"""Did the arms get the units that they were given slots for? If not, units went missing in one of them, and no difference can be believed.

The test is the sequential multinomial test of M. Lindon and A. Malek, *Anytime-valid inference for multinomial count data* (NeurIPS 2022): the
probability of the counts if the shares were drawn from a Dirichlet distribution around the expected ones, over their probability at exactly the
expected ones. A stratum is tested against its own slots; the e-value of the experiment is the product over strata. Every unit is in one stratum and
multiplies one factor by a likelihood ratio whose mean is 1, whatever came before and in whatever order strata take turns, so the product is an
e-value as each factor is, and a loss that is too small to be seen in any one stratum adds up.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

CONCENTRATION = 100.0
"""How near to the expected shares the alternatives are: as if a hundred units had been seen. A loss of some per cent is what to look for."""

_STEPS = 14
"""Halvings when the smallest loss is sought: to one in 16,000."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """One stratum: what each arm was given and what it got. An arm without slots is left out."""

    slots: Mapping[str, int]
    """Slots by arm, control among them; waiting slots belong to no arm."""

    units: Mapping[str, int]
    """Units by arm that came for the first time in this stratum."""


@dataclass(frozen=True, kw_only=True)
class SampleRatio:
    """What a look saw."""

    p: float
    """The always-valid p-value: the least so far."""

    log_e_value: float
    """Of this look."""

    smallest_loss: float | None
    """The smallest share of any one arm's units whose loss would have been seen by now; None while even a loss of all of them would not."""


def look(splits: Sequence[Split], *, alpha: float = 0.001, before: float = 1.0) -> SampleRatio:
    """Test all strata together.

    Args:
        splits: one for each stratum.
        alpha: probability of a false alarm, over all looks.
        before: the p of the look before.

    Raises:
        ValueError: units came to an arm without slots.

    """
    pairs = [_pairs(split) for split in splits]
    found = sum(log_e_value(counts, shares) for counts, shares in pairs)
    return SampleRatio(
        p=min(before, 1.0, math.exp(min(-found, 0.0))),
        log_e_value=found,
        smallest_loss=_smallest_loss(splits, alpha=alpha),
    )


def log_e_value(counts: Sequence[float], shares: Sequence[float]) -> float:
    """Logarithm of the Dirichlet-multinomial e-value of one stratum.

    ln Γ(Σa) - ln Γ(Σa + n) + Σ [ln Γ(a_i + n_i) - ln Γ(a_i)] - Σ n_i ln θ_i with a = 100 θ.

    Args:
        counts: units of each arm; not whole only where somebody asks "what if".
        shares: expected share θ of each arm, each above 0, 1 together.

    """
    found = _constant(math.fsum(counts), shares)
    for count, share in zip(counts, shares, strict=True):
        found += math.lgamma(CONCENTRATION * share + count) - count * math.log(share)
    return found


def _pairs(split: Split) -> tuple[list[int], list[float]]:
    """Counts and expected shares of the arms with slots."""
    lost = sorted(arm for arm, units in split.units.items() if units and not split.slots.get(arm))
    if lost:
        raise ValueError(f"units came to {', '.join(lost)}, without slots in that stratum: slots and units are not of the same time")
    arms = [arm for arm, slots in split.slots.items() if slots > 0]
    total = sum(split.slots[arm] for arm in arms)
    return [split.units.get(arm, 0) for arm in arms], [split.slots[arm] / total for arm in arms]


def _smallest_loss(splits: Sequence[Split], *, alpha: float) -> float | None:
    """For the arm in which it is hardest to see."""
    arms = {arm for split in splits for arm, slots in split.slots.items() if slots > 0}
    found = [_loss_of(arm, splits, alpha=alpha) for arm in arms]
    seen = [loss for loss in found if loss is not None]
    return max(seen) if seen and len(seen) == len(found) else None


def _loss_of(arm: str, splits: Sequence[Split], *, alpha: float) -> float | None:
    """The least loss that makes the e-value 1/alpha when as many units as came are split as the remaining shares say, by halving."""
    known = [
        (sum(counts), list(zip(shares, [name == arm for name, slots in split.slots.items() if slots > 0], strict=True)))
        for split in splits
        for counts, shares in (_pairs(split),)
        if len(shares) > 1 and any(counts)
    ]
    # What does not change with the loss is computed once.
    bar = -math.log(alpha) - sum(_constant(total, [share for share, _ in pairs]) for total, pairs in known)

    def seen(loss: float) -> bool:
        found = 0.0
        for total, pairs in known:
            left = [share * (1 - loss) if ours else share for share, ours in pairs]
            scale = total / sum(left)
            for (share, _), part in zip(pairs, left, strict=True):
                count = part * scale
                found += math.lgamma(CONCENTRATION * share + count) - count * math.log(share)
        return found >= bar

    if not seen(1.0):
        return None
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if seen(middle) else (middle, high)
    return high


def _constant(total: float, shares: Sequence[float]) -> float:
    """The part of ``log_e_value`` that is the same however a total is split."""
    return math.lgamma(CONCENTRATION) - math.lgamma(CONCENTRATION + total) - sum(math.lgamma(CONCENTRATION * share) for share in shares)
