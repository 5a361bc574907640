"""Figures as the other benchmarks have them, and those that could not be measured."""

from bench.router.figures import Figure, at_least, at_most, quantile, stated, table, write

__all__ = ["Figure", "at_least", "at_most", "missing", "quantile", "stated", "table", "write"]


def missing(name: str, reason: str, *, goal: float | None = None) -> Figure:
    """A figure that there is not, and why. Its goal, if it has one, is missed."""
    said = f"{name}: not measured: {reason}"
    return Figure(name=said, value=0, unit="") if goal is None else Figure(name=said, value=0, unit="", goal=f">= {goal:g}", ok=False)
