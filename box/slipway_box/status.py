"""What runs, as a table."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Row:
    """One component as it is now."""

    name: str
    pid: int | None
    healthy: bool
    memory_bytes: int
    note: str = ""


def table(rows: list[Row]) -> str:
    """The rows under their headings, the columns aligned, and the sum of the memory below."""
    cells = [("COMPONENT", "PID", "HEALTHY", "MEMORY", "")] + [_cells(row) for row in rows]
    cells.append(("", "", "", _mebibytes(sum(row.memory_bytes for row in rows)), ""))
    widths = [max(len(line[column]) for line in cells) for column in range(5)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, str, str, str, str]:
    pid = "-" if row.pid is None else str(row.pid)
    return (row.name, pid, "yes" if row.healthy else "NO", _mebibytes(row.memory_bytes), row.note)


def _mebibytes(count: int) -> str:
    return f"{count / MIB:.0f} MiB" if count else "-"
