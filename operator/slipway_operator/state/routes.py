"""The route table of a ModelDeployment: what its routers are told, and nothing else is.

docs/design/20261125-router.md has the format. The live table says which revision serves: it is what routers act on, so a crash between writing it and
writing the status ends in the same world.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, Self, TypeAlias

from slipway_operator.state.slots import Allocation

VERSION: Final = 1
_DIGEST_LENGTH: Final = 16

Role = Literal["Stable", "Candidate", "Arm"]


class TableError(ValueError):
    """A text is no route table that this version can read; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Groups:
    """The groups that an experiment divides units into, and where it is told who met which."""

    experiment: str
    """As the ledger calls it."""

    stratum: str
    revisions: tuple[tuple[str, str], ...]
    """Each group that has slots, and the revision that serves it; units that wait are a group that stable serves."""

    def revision(self, group: str) -> str:
        """Who serves a group."""
        return dict(self.revisions)[group]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Who takes which share of the units."""

    stable: str | None
    """Revision that serves; None while none was ever ready."""

    candidate: str | None = None
    groups: Groups | None = None
    """While an experiment divides the units."""

    allocation: Allocation | None = None
    """Whose each slot is: a revision, or one of the groups. None while there is no stable revision."""

    @classmethod
    def whole(cls, stable: str | None) -> Self:
        """Everything to one revision, or nothing to nobody."""
        return cls(stable=stable, allocation=Allocation.whole(stable) if stable else None)

    @property
    def revisions(self) -> tuple[tuple[str, Role], ...]:
        """Name and role of those who take part."""
        stable: tuple[tuple[str, Role], ...] = ((self.stable, "Stable"),) if self.stable else ()
        if self.groups:
            arms = dict.fromkeys(revision for _, revision in self.groups.revisions if revision != self.stable)
            return (*stable, *((revision, "Arm") for revision in arms))
        return (*stable, (self.candidate, "Candidate")) if self.candidate else stable

    @property
    def runs(self) -> tuple[tuple[int, str], ...]:
        """Runs of slots by the revision that serves them."""
        runs = self.allocation.runs if self.allocation else ()
        if not self.groups:
            return runs
        served = [(end, self.groups.revision(group)) for end, group in runs]
        return tuple(run for run, after in zip(served, (*served[1:], (0, "")), strict=True) if run[1] != after[1])


@dataclass(frozen=True, kw_only=True)
class Division:
    """A split, and how it is told from others."""

    seed: str
    """What units are hashed with; frozen, so that units stay where they are."""

    epoch: int
    """Rises when the split changes: what is counted before says nothing about what is counted after."""

    split: Split

    def into(self, split: Split, *, seed: str | None = None) -> "Division":
        """The next one; this one where the split is the same. Another seed divides all units anew."""
        seed = seed or self.seed
        return self if (split, seed) == (self.split, self.seed) else Division(seed=seed, epoch=self.epoch + 1, split=split)


@dataclass(frozen=True, kw_only=True)
class UnitRule:
    """Which header names the unit, and what becomes of requests without it."""

    header: str
    on_missing: Literal["Random", "Stable"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of requests."""

    timeout_ms: int
    body_bytes: int
    pending_per_pod: int


@dataclass(frozen=True, kw_only=True)
class Shadow:
    """Who sees a copy of requests."""

    revision: str
    percent: int


@dataclass(frozen=True, kw_only=True)
class FixedResponse:
    """An answer without a model."""

    status: int
    content_type: str
    body: str


Fallback: TypeAlias = str | FixedResponse
"""Name of the revision that answers when the others do not, or the answer."""


@dataclass(frozen=True, kw_only=True)
class RouteTable:
    """One version of the table."""

    namespace: str
    model: str
    division: Division
    unit: UnitRule | None
    limits: Limits
    shadow: Shadow | None = None
    fallback: Fallback | None = None
    tokens: bool = False
    """Whether requests need one of the tokens that the router has mounted."""

    http_only: tuple[str, ...] = ()
    """Names of revisions that are not asked over gRPC: those with a transformer, which Triton's gRPC port would go around."""

    def text(self) -> str:
        """As routers read it; the same table gives the same bytes."""
        return json.dumps(self._data(), sort_keys=True, separators=(",", ":"))

    @property
    def digest(self) -> str:
        """By which routers say that they have it."""
        return digest_of(self.text())

    def _data(self) -> dict[str, Any]:
        split = self.division.split
        data: dict[str, Any] = {
            "version": VERSION,
            "namespace": self.namespace,
            "model": self.model,
            "seed": self.division.seed,
            "epoch": self.division.epoch,
            "revisions": [{"name": name, "role": role} for name, role in split.revisions],
            "slots": _told_slots(split),
            "timeoutMilliseconds": self.limits.timeout_ms,
            "limits": {"bodyBytes": self.limits.body_bytes, "pendingPerPod": self.limits.pending_per_pod},
            "tokens": self.tokens,
        }
        if self.unit:
            data["unit"] = {"header": self.unit.header.lower(), "onMissing": self.unit.on_missing}
        if split.groups:
            arms = [group for group, _ in split.groups.revisions]
            data["exposures"] = {"experiment": split.groups.experiment, "stratum": split.groups.stratum, "arms": arms}
        if self.shadow:
            data["shadow"] = {"revision": self.shadow.revision, "percent": str(self.shadow.percent)}
        if self.fallback is not None:
            data["fallback"] = _told_fallback(self.fallback)
        if self.http_only:
            data["httpOnly"] = sorted(self.http_only)
        return data

    @classmethod
    def parse(cls, text: str) -> Self:
        """Out of the text of a live table. Raises TableError."""
        try:
            return cls._of(json.loads(text))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, StopIteration) as error:
            raise TableError(f"this is no route table: {error!r}") from error

    @classmethod
    def _of(cls, data: dict[str, Any]) -> Self:
        if data["version"] != VERSION:
            raise TableError(f"version {data['version']} is not known, only {VERSION} is")
        by_role = {entry["role"]: str(entry["name"]) for entry in data["revisions"]}
        names = [str(entry["name"]) for entry in data["revisions"]]
        groups = _groups(data["slots"], data.get("exposures"), names)
        split = Split(
            stable=by_role.get("Stable"),
            candidate=by_role.get("Candidate"),
            groups=groups,
            allocation=_allocation(data["slots"], [group for group, _ in groups.revisions] if groups else names, at=2 if groups else 1),
        )
        unit, limits = data.get("unit"), data["limits"]
        return cls(
            namespace=str(data["namespace"]),
            model=str(data["model"]),
            division=Division(seed=str(data["seed"]), epoch=int(data["epoch"]), split=split),
            unit=UnitRule(header=unit["header"], on_missing=unit["onMissing"]) if unit else None,
            limits=Limits(
                timeout_ms=int(data["timeoutMilliseconds"]), body_bytes=int(limits["bodyBytes"]), pending_per_pod=int(limits["pendingPerPod"])
            ),
            shadow=_read_shadow(data.get("shadow")),
            fallback=_read_fallback(data.get("fallback")),
            tokens=bool(data["tokens"]),
            http_only=tuple(str(name) for name in data.get("httpOnly") or ()),
        )


def _told_fallback(fallback: Fallback) -> dict[str, Any]:
    if isinstance(fallback, str):
        return {"revision": fallback}
    return {"response": {"status": fallback.status, "contentType": fallback.content_type, "body": fallback.body}}


def _read_shadow(data: dict[str, Any] | None) -> Shadow | None:
    return Shadow(revision=str(data["revision"]), percent=int(data["percent"])) if data else None


def _read_fallback(data: dict[str, Any] | None) -> Fallback | None:
    if not data:
        return None
    if "revision" in data:
        return str(data["revision"])
    answer = data["response"]
    return FixedResponse(status=int(answer["status"]), content_type=str(answer["contentType"]), body=str(answer["body"]))


def digest_of(text: str) -> str:
    """The digest of a table's text."""
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]


def _told_slots(split: Split) -> list[list[int]]:
    names = [name for name, _ in split.revisions]
    runs = split.allocation.runs if split.allocation else ()
    if not split.groups:
        return [[end, names.index(owner)] for end, owner in runs]
    numbers = {group: number for number, (group, _) in enumerate(split.groups.revisions)}
    return [[end, names.index(split.groups.revision(group)), numbers[group]] for end, group in runs]


def _groups(runs: Iterable[list[int]], told: dict[str, Any] | None, names: list[str]) -> Groups | None:
    if not told:
        return None
    served = {number: names[index] for _, index, number in runs}
    revisions = tuple((str(arm), served[number]) for number, arm in enumerate(told["arms"]))
    return Groups(experiment=str(told["experiment"]), stratum=str(told["stratum"]), revisions=revisions)


def _allocation(runs: Iterable[list[int]], names: list[str], *, at: int) -> Allocation | None:
    owned = tuple((int(run[0]), names[run[at]]) for run in runs)
    return Allocation(owned) if owned else None
