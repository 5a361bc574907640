"""Figures as the other benchmarks have them, and those that could not be measured."""

from bench.router.figures import Figure, at_least, at_most, quantile, stated, table, write

__all__ = ["Figure", "at_least", "at_most", "missing", "quantile", "stated", "table", "write"]


def missing(name: str, reason: str, *, judged: bool = True) -> Figure:
    """A figure that there is not, and why. ``judged``: it has a goal, which is missed."""
    return Figure(name=f"{name}: not measured: {reason}", value=0, unit="", goal="to be measured" if judged else None, ok=not judged)
