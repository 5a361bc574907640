"""Tables of text."""

from collections.abc import Iterator, Sequence


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows as aligned lines: what begins like a number to the right, else to the left. A row of two cells is a name and a sentence of any length."""
    tabular = [row for row in rows if len(row) != 2]
    count = max((len(row) for row in tabular), default=0)
    widths = [max(len(row[place]) for row in tabular if len(row) > place) for place in range(count)]
    first = max((len(row[0]) for row in rows), default=0)
    right = [_numeric([row[place] for row in tabular if len(row) > place]) for place in range(count)]
    for row in rows:
        cells = row[1:] if len(row) == 2 else [_aligned(cell, widths[place], right=right[place]) for place, cell in enumerate(row[1:], start=1)]
        yield f"  {'  '.join([row[0].ljust(first), *cells])}".rstrip()


def _numeric(cells: Sequence[str]) -> bool:
    """Half of them or more, the head among them, begin like numbers."""
    told = [cell for cell in cells if cell]
    return 2 * sum(cell[0] in "+-\u22120123456789" for cell in told) >= len(told) > 0


def _aligned(cell: str, width: int, *, right: bool) -> str:
    return cell.rjust(width) if right else cell.ljust(width)
