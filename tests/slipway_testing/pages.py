"""Pages of the documentation as tests: their marked blocks are run in order and what they print is compared with what the page says.

A fenced block marked ``bash run`` is run by bash as it stands. A block marked ``text output`` that follows it is what it printed, as far as two runs
are alike:

* ``...`` stands for any text within a line; on a line of its own, for any number of lines;
* ages such as 3m24s, dates with a time, and the width of blanks are not compared;
* the namespace slipway-demo, of which pages speak, is the namespace that the page is run in.
"""

import itertools
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slipway_testing.golden import REPOSITORY

NAMESPACE: Final = "slipway-demo"
"""What pages call the namespace they work in: the one that `make demo` leaves behind, so that a reader can follow them there."""

RUN: Final = "bash run"
OUTPUT: Final = "text output"
BLOCK_TIMEOUT_S: Final = 240.0

_FENCE: Final = re.compile(r"^(?P<indent> *)```(?P<info>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_AGE: Final = re.compile(r"\b(\d+[dhms])+(?=\s|$)")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_BLANKS: Final = re.compile(r"[ \t]+")


@dataclass(frozen=True, kw_only=True)
class Fence:
    """A fenced block."""

    line: int
    info: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block to run, and what the page says that it prints."""

    line: int
    command: str
    output: str | None


class Failed(AssertionError):
    """A block does not do what its page says."""


def fences(text: str) -> Iterator[Fence]:
    """Every fenced block of a page, from top to bottom, those of list items too."""
    for found in _FENCE.finditer(text):
        yield Fence(line=text.count("\n", 0, found.start()) + 1, info=found["info"].strip(), text=textwrap.dedent(found["text"]))


def blocks(text: str) -> tuple[Block, ...]:
    """The blocks of a page that are marked to be run."""
    found = [*fences(text), Fence(line=0, info="", text="")]
    return tuple(
        Block(line=fence.line, command=fence.text, output=following.text if following.info == OUTPUT else None)
        for fence, following in itertools.pairwise(found)
        if fence.info == RUN
    )


def alike(said: str, printed: str) -> bool:
    """Whether ``printed`` is what a page says, give or take what differs between runs."""
    pattern = "".join(r"(?:.*\n)*" if line.strip() == "..." else _of_line(line) + "\n" for line in _plain(said).splitlines())
    return re.fullmatch(pattern, _plain(printed)) is not None


def _of_line(line: str) -> str:
    return ".*".join(re.escape(part) for part in line.split("..."))


def _plain(text: str) -> str:
    """``text`` without what two runs differ in."""
    alike = _BLANKS.sub(" ", _AGE.sub("<age>", _TIME.sub("<time>", text)))
    return "".join(f"{line.strip()}\n" for line in alike.strip().splitlines())


def run(page: Path, block: Block, *, namespace: str, environment: Mapping[str, str]) -> None:
    """Run one block at the root of the repository; raises Failed, naming page and line, when it fails or prints something else."""
    __tracebackhide__ = True  # the message has all that a reader needs
    where = f"{page.relative_to(REPOSITORY)}:{block.line}"
    try:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.command],
            cwd=REPOSITORY,
            env=dict(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=BLOCK_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as slow:
        raise Failed(f"{where} did not end within {BLOCK_TIMEOUT_S:.0f} s:\n{block.command}") from slow
    if done.returncode:
        raise Failed(f"{where} ended with status {done.returncode}:\n{block.command}\n{done.stdout}")
    if block.output is not None and not alike(block.output.replace(NAMESPACE, namespace), done.stdout):
        raise Failed(f"{where} printed something else than the page says:\n{block.command}\n--- the page\n{block.output}\n--- the run\n{done.stdout}")


def commands(page: Path) -> list[str]:
    """Blocks of a page that a reader types, marked or not, as they stand."""
    return [fence.text for fence in fences(page.read_text()) if fence.info in ("bash", RUN)]


def write_tools(folder: Path, *, kubectl: tuple[str, ...], namespace: str) -> None:
    """Write the programs that pages use: kubectl on the cluster and in the namespace of the page, and slipway from this checkout."""
    slipway = f"PYTHONPATH={shlex.quote(str(REPOSITORY / 'operator'))} exec {shlex.quote(sys.executable)} -m slipway_operator.cli"
    for name, command in {"kubectl": f"exec {shlex.join([*kubectl, f'--namespace={namespace}'])}", "slipway": slipway}.items():
        program = folder / name
        program.write_text(f'#!/bin/sh\n{command} "$@"\n')
        program.chmod(0o755)
