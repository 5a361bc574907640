"""What can go wrong, where, and which of it a lane has to live through."""

import enum
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple


class Act(enum.Enum):
    """What is done to one request, one watch event or one start of the operator."""

    KILL_BEFORE = "the operator is killed before the server sees it"
    KILL_AFTER = "the operator is killed before it sees the answer"
    PAUSE = "the operator is stopped before it sees the answer, for longer than its lease"
    CONFLICT = "is answered 409"
    INVALID = "is answered 422"
    THROTTLED = "is answered 429 with Retry-After"
    BROKEN = "is answered 500"
    UNAVAILABLE = "is answered 503"
    RESET = "meets a reset"
    ANSWER_LOST = "is carried out and meets a reset"
    HANG = "is never answered"
    DROP = "is lost with all that follow on that watch, which breaks a moment later"
    FORGET = "is lost with all that follow on that watch, and its history is compacted"
    DOUBLE = "comes twice"
    DELAY = "comes late"
    HALF = "is cut in half"
    STALE = "is of the phase before when a new operator starts"


KILLS: Final = (Act.KILL_BEFORE, Act.KILL_AFTER)
REFUSALS: Final = (Act.CONFLICT, Act.INVALID, Act.THROTTLED, Act.BROKEN, Act.UNAVAILABLE, Act.RESET, Act.ANSWER_LOST, Act.HANG)
EVENT_ACTS: Final = (Act.DROP, Act.FORGET, Act.DOUBLE, Act.DELAY, Act.HALF)


class Moment(NamedTuple):
    """One request or watch event of a scenario: the phase, what it is, which one of its like in that phase."""

    phase: str
    what: str
    nth: int

    def __str__(self) -> str:
        return f"{self.phase}: {self.what} #{self.nth}"


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong."""

    moment: Moment
    act: Act

    def __str__(self) -> str:
        return f"{self.moment} {self.act.value}"


@dataclass
class Script:
    """Counts what passes through the gates of a lane and says what is to go wrong; each fault happens once."""

    faults: dict[str, Fault] = field(default_factory=dict)
    """By phase."""

    log: list[Moment] = field(default_factory=list)
    happened: list[Fault] = field(default_factory=list)
    phase: str = "start"
    on_passing: Callable[[], None] = lambda: None
    """Called for everything that passes."""

    _seen: Counter[str] = field(default_factory=Counter)

    def begin(self, phase: str) -> None:
        """From here on moments belong to ``phase``."""
        self.phase = phase
        self._seen.clear()

    def passing(self, what: str) -> Act | None:
        """``what`` passes: note it, and say what goes wrong with it."""
        self._seen[what] += 1
        moment = Moment(self.phase, what, self._seen[what])
        self.log.append(moment)
        self.on_passing()
        fault = self.faults.get(self.phase)
        if fault is None or fault.moment != moment or fault in self.happened:
            return None
        self.happened.append(fault)
        return fault.act

    def pending(self) -> Fault | None:
        """The fault of this phase, while it has not happened."""
        fault = self.faults.get(self.phase)
        return None if fault is None or fault in self.happened else fault
