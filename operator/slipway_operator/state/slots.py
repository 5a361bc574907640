"""Who gets which revision: units fall into 10,000 slots, slots belong to revisions.

A unit (a user, a session, a request) is hashed to a slot for good. A rollout moves slots, and only between the stable revision and one other, so that
nobody is handed from one new revision to another, and those who have met a new revision stay with it while its share grows.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Self

SLOTS: Final = 10_000
BUCKETS: Final = 64

_MULTIPLIER: Final = 0x5BD1E995
_MASK: Final = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """MurmurHash2, 32 bits, seed 0 (Appleby, public domain): what nginx's ``split_clients`` hashes with.

    murmur2(b"") → 0.
    """
    hashed = len(data)
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        word = int.from_bytes(data[at : at + 4], "little") * _MULTIPLIER & _MASK
        word = (word ^ word >> 24) * _MULTIPLIER & _MASK
        hashed = hashed * _MULTIPLIER & _MASK ^ word
    if tail := data[whole:]:
        hashed = (hashed ^ int.from_bytes(tail, "little")) * _MULTIPLIER & _MASK
    hashed = (hashed ^ hashed >> 13) * _MULTIPLIER & _MASK
    return hashed ^ hashed >> 15


def slot_of(unit: bytes, *, seed: str) -> int:
    """The slot of a unit, 0 to 9,999, as ``split_clients`` with 10,000 parts of 0.01 % has it."""
    return _part(murmur2(seed.encode() + b":" + unit), SLOTS)


def bucket_of(unit: bytes, *, seed: str) -> int:
    """The bucket of a unit, 0 to 63, in which its requests are counted; it says nothing about the slot."""
    return _part(murmur2(b"bucket:" + seed.encode() + b":" + unit), BUCKETS)


def _part(hashed: int, parts: int) -> int:
    """The least p with hashed < (p + 1) · 0xffffffff // parts; the last one where there is none.

    Of 10,000, where 0xffffffff // 10,000 = 429,496: 429,495 → 0; 429,496 → 1; 0xffffffff → 9,999.
    """
    part = min(hashed * parts // _MASK, parts - 1)
    # The threshold is rounded down, so that the hash right at it belongs to the next part although the exact quotient does not say so yet.
    return part + 1 if part < parts - 1 and hashed >= (part + 1) * _MASK // parts else part


@dataclass(frozen=True)
class Allocation:
    """Which revision each slot belongs to."""

    runs: tuple[tuple[int, str], ...]
    """In order: each run ends before its number and belongs to the revision of that name. The last one ends before 10,000."""

    def __post_init__(self) -> None:
        ends = [end for end, _ in self.runs]
        if ends and (ends[-1] != SLOTS or ends != sorted(set(ends)) or ends[0] < 1):
            raise ValueError(f"these runs do not cover {SLOTS} slots in order: {self.runs}")

    @classmethod
    def whole(cls, owner: str) -> Self:
        """Everything to one revision."""
        return cls(((SLOTS, owner),))

    def owner(self, slot: int) -> str:
        """Whose a slot is."""
        return next(owner for end, owner in self.runs if slot < end)

    def count(self, owner: str) -> int:
        """How many slots a revision has."""
        return sum(slots for slots, mine in self._shares() if mine == owner)

    def moved(self, wanted: Mapping[str, int], *, base: str) -> "Allocation":
        """With so many slots for each revision of ``wanted`` and all others for ``base``, moving as few slots as that takes.

        Slots go from and to ``base`` only. A revision takes them from a place of its own on the circle of slots onwards, so that one rollout after
        another does not fall on the same users, and gives back first what it took last. ValueError where more is wanted than there is.

        All are s's: moved({"c": 100}, base="s") gives c 100 neighbouring ones; then moved({"c": 1000}, base="s") leaves it those and adds 900.
        """
        if base in wanted or any(count < 0 for count in wanted.values()) or sum(wanted.values()) > SLOTS:
            raise ValueError(f"there are {SLOTS} slots and {base} keeps the rest, which leaves no room for {dict(wanted)}")
        owners = [owner if owner in wanted else base for owner in self._owners()]
        for owner, count in wanted.items():
            _give_back(owners, owner, keep=count, base=base)
        for owner, count in wanted.items():
            _take(owners, owner, upto=count, base=base)
        return type(self)(tuple(_runs(owners)))

    @classmethod
    def in_groups(cls, *, control: str, waiting: str, arms: Mapping[str, tuple[int, int]]) -> "Allocation":
        """Of an experiment: for each arm how many slots it has now and how many it is to have at the end; those in between wait, the rest is control.

        An arm keeps the slots that it has while it gets more, and no slot goes from one arm to another: arms={"v8": (200, 5000)} and then
        {"v8": (2000, 5000)} moves 1,800 slots, from waiting to v8.
        """
        final = {arm: most for arm, (_, most) in arms.items()}
        whole = cls.whole(control).moved(final, base=control)
        return whole.moved({control: whole.count(control)} | {arm: now for arm, (now, _) in arms.items()}, base=waiting)

    def _shares(self) -> Iterator[tuple[int, str]]:
        """Of each run, how many slots it has, and whose they are."""
        begin = 0
        for end, owner in self.runs:
            yield end - begin, owner
            begin = end

    def _owners(self) -> Iterator[str]:
        """Slot by slot, whose it is."""
        return itertools.chain.from_iterable(itertools.repeat(owner, slots) for slots, owner in self._shares())


def _circle(owner: str) -> Iterator[int]:
    """All slots, from the place of a revision onwards; the place follows from its name."""
    place = _part(murmur2(owner.encode()), SLOTS)
    return itertools.chain(range(place, SLOTS), range(place))


def _take(owners: list[str], owner: str, *, upto: int, base: str) -> None:
    missing = upto - owners.count(owner)
    free = (slot for slot in _circle(owner) if owners[slot] == base)
    for _ in range(missing):
        owners[next(free)] = owner


def _give_back(owners: list[str], owner: str, *, keep: int, base: str) -> None:
    if owners.count(owner) > keep:
        mine = [slot for slot in _circle(owner) if owners[slot] == owner]
        for slot in mine[keep:]:
            owners[slot] = base


def _runs(owners: list[str]) -> Iterator[tuple[int, str]]:
    end = 0
    for owner, same in itertools.groupby(owners):
        end += len(list(same))
        yield end, owner
