"""``slipway experiment replay``: every verdict computed again from what was recorded, and compared with what was said.

Equal inputs and equal code give equal doubles, so the comparison is exact. Besides, what a look remembers must be what the look before it said, and
no look may be missing: a chain with a hole could hide the one look that decided otherwise.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from slipway_operator.cli.experiment import source
from slipway_operator.cli.experiment.looks import Recorded
from slipway_statistics import adaptive, record, verdict
from slipway_statistics.adaptive import Moves
from slipway_statistics.experiment import Design, Memory, Observed

SHOWN: Final = 20
"""Differences that are told one by one; the rest are counted."""

_NOTHING: Final = object()


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One place at which a look is not what it should be."""

    sequence: int
    path: str
    """``said.arms[v8].closed[conversion].lower``, ``observed.memory.sampleRatio``, ``sequence``."""

    recorded: Any
    computed: Any
    """What it should have been; either is None where there is nothing."""

    @property
    def sentence(self) -> str:
        """For people."""
        return f"look {self.sequence}: {self.path}: recorded {_json(self.recorded)}, computed {_json(self.computed)}"


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What came of all looks."""

    experiment: str
    looks: int
    differing: int
    """Looks with a difference."""

    differences: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        """Whether every look is what it should be."""
        return not self.differences


def replay(found: Sequence[Recorded]) -> Replayed:
    """Compute all looks again."""
    differences = tuple(_differences(found))
    return Replayed(
        experiment=found[0].experiment,
        looks=len(found),
        differing=len({difference.sequence for difference in differences}),
        differences=differences,
    )


def _differences(found: Sequence[Recorded]) -> Iterator[Difference]:
    expected, remembered = 1, record.write(Memory())
    for look in found:
        if look.sequence != expected:
            yield Difference(sequence=look.sequence, path="sequence", recorded=look.sequence, computed=expected)
        if look.sequence == expected:
            yield from _compared(look, "observed.memory", look.observed.get("memory"), remembered)
        yield from _again(look)
        expected, remembered = look.sequence + 1, look.said.get("memory")


def _again(look: Recorded) -> Iterator[Difference]:
    """Of one look alone. Inputs that cannot be read, or looked at, are a difference too: nobody can have said this of them."""
    try:
        design, observed = record.read(Design, look.design), record.read(Observed, look.observed)
        if look.bandit is None:
            said, moves = verdict.look(design, observed), None
        else:
            recorded = record.read(Moves, look.bandit)
            found = adaptive.look(design, observed, rules=recorded.rules, reward=recorded.reward)
            said, moves = found.said, found.moves
    except (ValueError, TypeError, ArithmeticError, LookupError) as error:
        yield Difference(sequence=look.sequence, path="said", recorded=look.verdict, computed=f"no look is possible: {error}")
        return
    yield from _compared(look, "said", look.said, record.write(said))
    yield from _compared(look, "bandit", look.bandit, record.write(moves))


def _compared(look: Recorded, path: str, recorded: Any, computed: Any) -> Iterator[Difference]:
    for place, ours, theirs in compare(recorded, computed, path=path):
        yield Difference(
            sequence=look.sequence, path=place, recorded=None if ours is _NOTHING else ours, computed=None if theirs is _NOTHING else theirs
        )


def compare(recorded: Any, computed: Any, *, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Where two JSON values differ: path, one, the other. Numbers are compared as doubles, so 1 and 1.0 are equal, and 0 and false are not."""
    if isinstance(recorded, dict) and isinstance(computed, dict):
        for key in dict.fromkeys((*recorded, *computed)):
            yield from compare(recorded.get(key, _NOTHING), computed.get(key, _NOTHING), path=_below(path, key))
    elif isinstance(recorded, list) and isinstance(computed, list) and len(recorded) == len(computed):
        for place, (ours, theirs) in enumerate(zip(recorded, computed, strict=True)):
            yield from compare(ours, theirs, path=f"{path}[{place}]")
    elif isinstance(recorded, bool) != isinstance(computed, bool) or recorded != computed:
        yield path, recorded, computed


def _below(path: str, key: str) -> str:
    """Names of fields are words; names that people chose may have dots, and stand in brackets."""
    named = path.rpartition(".")[2] in ("arms", "closed", "toDate", "guardrails", "primary", "routed", "scores", "shares", "nextShares")
    return f"{path}[{key}]" if named else f"{path}.{key}"


def add_to(commands: Any) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "replay",
        help="compute every verdict again from what was recorded",
        description="Computes every look of an experiment again from its recorded inputs and compares everything it said: numbers bit by bit, "
        "the memory that goes from look to look, and that no look is missing. Exit status 1 when anything differs.",
    )
    source.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    parser.set_defaults(answer=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what differs; 1 if anything does."""
    found = replay(source.read(arguments))
    print(json.dumps(record.write(found) | {"same": found.same}, indent=2, ensure_ascii=False) if arguments.json else text(found))
    return 0 if found.same else 1


def text(found: Replayed) -> str:
    """The answer for people."""
    looks = f"{found.experiment}: {found.looks} look{'s' * (found.looks != 1)}"
    if found.same:
        verdicts = f"all {found.looks} verdicts are the same" if found.looks != 1 else "its verdict is the same"
        return f"{looks}, {verdicts}"
    shown = [difference.sentence for difference in found.differences[:SHOWN]]
    left = len(found.differences) - len(shown)
    more = [f"and {left} more; --json tells them all"] if left else []
    advice = (
        "Either another version of Slipway took these looks (replay with that one), or what was recorded was changed afterwards, "
        "and then this record proves nothing."
    )
    return "\n".join([*shown, *more, f"{looks}, {found.differing} of them differ. {advice}"])


def _json(value: Any) -> str:
    written = json.dumps(value, ensure_ascii=False)
    return written if len(written) <= 120 else f"{written[:120]}..."
