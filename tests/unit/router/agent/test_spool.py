"""Lines in files: how far a reader came is known whatever the files are called by now."""

import random
from pathlib import Path

import pytest

from slipway_router.agent.spool import Position, Spool

ALL = {"most_lines": 1000, "most_bytes": 10**6}


def spool_of(folder: Path, *, lines: int = 3, files: int = 2) -> Spool:
    """Full with so many lines of 8 bytes."""
    return Spool(folder / "x", file_bytes=8 * lines, files=files)


def line(number: int) -> bytes:
    return b"line%03d" % number


def fill(spool: Spool, *numbers: int) -> int:
    """How many lines went with the oldest file."""
    return sum(spool.append(line(number) + b"\n") for number in numbers)


def read_all(spool: Spool, position: Position | None, **limits: int) -> tuple[list[bytes], Position | None]:
    found: list[bytes] = []
    while (portion := spool.read(position, **(ALL | limits))).lines:
        found += portion.lines
        position = portion.end
    return found, position


def test_lines_are_read_in_order_from_the_oldest_file_on(tmp_path: Path) -> None:
    spool = spool_of(tmp_path)
    fill(spool, *range(8))
    assert read_all(spool, None)[0] == [line(number) for number in range(8)]


def test_a_reader_goes_on_where_it_was_though_the_files_were_renamed(tmp_path: Path) -> None:
    spool = spool_of(tmp_path)
    fill(spool, 0, 1)
    found, position = read_all(spool, None)
    assert found == [line(0), line(1)]
    fill(spool, *range(2, 8))
    assert spool.left(position) == 6
    assert read_all(spool_of(tmp_path), position)[0] == [line(number) for number in range(2, 8)]


@pytest.mark.parametrize("limits", [{"most_lines": 2}, {"most_bytes": 16}, {"most_bytes": 23}])
def test_a_portion_is_bounded(tmp_path: Path, limits: dict[str, int]) -> None:
    spool = spool_of(tmp_path, lines=5)
    fill(spool, *range(5))
    assert spool.read(None, **(ALL | limits)).lines == (line(0), line(1))
    assert read_all(spool, None, **limits)[0] == [line(number) for number in range(5)]


def test_a_line_that_is_larger_than_a_portion_comes_alone(tmp_path: Path) -> None:
    spool = spool_of(tmp_path, lines=5)
    fill(spool, 0, 1)
    assert spool.read(None, most_lines=9, most_bytes=1).lines == (line(0),)


def test_half_a_line_is_none(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(line(0) + b"\n" + line(1)[:3])
    spool = spool_of(tmp_path)
    found, position = read_all(spool, None)
    assert (found, spool.left(None)) == ([line(0)], 1)
    fill(spool, 2)
    assert read_all(spool, position)[0] == [line(2)]


@pytest.mark.parametrize("text", [b"", b"half"])
def test_nothing_is_nothing(tmp_path: Path, text: bytes) -> None:
    spool = spool_of(tmp_path)
    assert (spool.read(None, **ALL).lines, spool.left(None)) == ((), 0)
    (tmp_path / "x").write_bytes(text)
    assert (spool.read(None, **ALL).lines, spool.left(None)) == ((), 0)


def test_a_position_that_went_with_the_oldest_file_is_told(tmp_path: Path) -> None:
    spool = spool_of(tmp_path)
    fill(spool, 0, 1)
    _, position = read_all(spool, None)
    assert spool.read(position, **ALL).left is None
    dropped = fill(spool, *range(2, 12))
    portion = spool.read(position, **ALL)
    assert (dropped, portion.left, portion.lines) == (3, 9, (line(3), line(4), line(5)))
    assert spool.read(portion.end, **ALL).left is None


def test_a_file_that_became_shorter_is_read_again(tmp_path: Path) -> None:
    spool = spool_of(tmp_path)
    fill(spool, 0, 1)
    _, position = read_all(spool, None)
    (tmp_path / "x").write_bytes(line(0) + b"\n")
    assert spool.read(position, **ALL).lines == (line(0),)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_written_and_read_each_line_is_read_once_or_was_dropped(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    spool, position = spool_of(tmp_path, lines=4), None
    found: list[bytes] = []
    written = dropped = lost = left = 0
    for _ in range(60):
        for _ in range(chance.randint(0, 6)):
            dropped += spool.append(line(written) + b"\n")
            written, left = written + 1, left + 1
        if chance.random() < 0.3:
            spool = spool_of(tmp_path, lines=4)
        for _ in range(chance.randint(0, 3)):
            portion = spool.read(position, most_lines=chance.randint(1, 5), most_bytes=100)
            if portion.left is not None:
                lost, left = lost + left - portion.left, portion.left
            found += portion.lines
            position, left = portion.end, left - len(portion.lines)
    rest, _ = read_all(spool, position)
    assert sorted(set(found + rest)) == found + rest
    missing = lost + left - len(rest)
    assert len(found + rest) + missing == written
    assert left >= len(rest)
    assert missing <= dropped
