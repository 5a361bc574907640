"""How much is measured: the whole benchmark, or a short one that shows in minutes whether anything has gone wrong."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The numbers behind the rows."""

    objects: int = 1000
    rounds: int = 3
    """How often the contenders take turns."""

    edits: int = 200
    """Edits of an idle operator."""

    quiet_s: float = 60.0
    """How long an operator at rest is watched."""

    cycles: int = 10_000
    """Objects made and deleted again."""

    short_lease_s: float = 3.0
    default_lease: bool = True
    """Whether the takeover is measured with the default lease too."""

    with_kserve: int = 200
    """Objects with KServe's manager running; 0: not measured."""


WHOLE = Sizes()
SHORT = Sizes(objects=100, rounds=1, edits=30, quiet_s=10.0, cycles=300, short_lease_s=2.0, default_lease=False, with_kserve=0)
