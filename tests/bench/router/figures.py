"""Figures as the other benchmark has them, and those with a lower bound."""

from bench.operator.figures import Figure, at_most, quantile, stated, table, write

__all__ = ["Figure", "at_least", "at_most", "quantile", "stated", "table", "write"]


def at_least(name: str, value: float, unit: str, *, limit: float) -> Figure:
    """A figure with a lower bound."""
    rounded = round(value, 3)
    return Figure(name=name, value=rounded, unit=unit, goal=f">= {limit:g}", ok=rounded >= limit)
