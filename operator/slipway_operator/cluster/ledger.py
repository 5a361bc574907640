"""The ledger's HTTP API, as far as experiments need it."""

import contextlib
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote, urlencode

from slipway_operator.cluster.ledger_requests import Requests, Way, looks_path, path
from slipway_operator.errors import LedgerAbsent, LedgerConflict, LedgerError
from slipway_operator.state.experiment import Journal, Registration, Sums
from slipway_statistics import record, sums
from slipway_statistics.experiment import Arms, Memory

TIMEOUT_S: Final = 5.0


class Ledger:
    """One ledger. Use as ``async with Ledger(...) as ledger``; what goes wrong is a LedgerError."""

    def __init__(self, url: str, *, token_file: Path | None) -> None:
        self._url = url.rstrip("/")
        self._requests = Requests(Way(address=self._url, token_file=token_file, timeout_s=TIMEOUT_S))

    async def __aenter__(self) -> Self:
        await self._requests.__aenter__()
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self._requests.__aexit__(*raised)

    async def register(self, namespace: str, name: str, definition: Mapping[str, Any]) -> None:
        """Have it measured; the same definition may be given again, and one with a cap that was not known. LedgerConflict: another one is there."""
        await self._ask("PUT", path(namespace, name), body=definition)

    async def end(self, namespace: str, name: str) -> None:
        """Take no more events for it. Nothing is wrong where there is none, or where it has ended."""
        with contextlib.suppress(LedgerAbsent):
            await self._ask("DELETE", path(namespace, name))

    async def registrations(self) -> tuple[Registration, ...]:
        """Every experiment of the namespaces that the token may read, ended ones that still have data among them: a thousand at most."""
        answer = await self._ask("GET", "/v1/experiments")
        with _reading("experiments of the ledger"):
            return tuple(_registration(entry) for entry in answer["experiments"])

    async def quiet_s(self, namespace: str, name: str) -> float:
        """Seconds, by the ledger's clock, since a router last told of a unit of an experiment; infinite where none ever did, or there is none."""
        try:
            answer = await self._ask("GET", f"{path(namespace, name)}/sums")
        except LedgerAbsent:
            return math.inf
        with _reading(f"sums of experiment {namespace}/{name}"):
            newest = answer["newest"]["exposure"]
            return (_time(answer["now"]) - _time(newest)).total_seconds() if newest else math.inf

    async def sums(self, namespace: str, name: str, *, quantiles: Mapping[str, float]) -> Sums:
        """What is known now; and for the metrics of ``quantiles`` what their caps are made of, where it is known."""
        answer = await self._ask("GET", f"{path(namespace, name)}/sums")
        found = {}
        for metric, share in quantiles.items():
            query = urlencode({"q": f"{share:.6g}"})
            told = await self._ask("GET", f"{path(namespace, name)}/metrics/{quote(metric, safe='')}/quantile?{query}")
            if told.get("value") is not None:
                found[metric] = float(told["value"])
        with _reading(f"sums of experiment {namespace}/{name}"):
            return parsed(answer, quantiles=found)

    async def journal(self, namespace: str, name: str, *, after: int) -> Journal:
        """How far the looks go; ``after`` is a number that is known to be there, less one."""
        found: Journal | int = after
        while not isinstance(found, Journal):
            answer = await self._ask("GET", looks_path(namespace, name, after=found))
            with _reading(f"looks of experiment {namespace}/{name}"):
                found = _newest(answer, after=found)
        return found

    async def append(self, namespace: str, name: str, look: Mapping[str, Any]) -> None:
        """Keep a look."""
        await self._ask("POST", f"{path(namespace, name)}/looks", body=look)

    async def _ask(self, method: str, path: str, *, body: Any = None) -> Any:
        answer = await self._requests.ask(method, path, body=body)
        if 200 <= answer.status < 300:
            return answer.body
        message = f"The ledger at {self._url} refuses {method} with {answer.status}: {answer.said}."
        raise {404: LedgerAbsent, 409: LedgerConflict}.get(answer.status, LedgerError)(message)


@contextlib.contextmanager
def _reading(what: str) -> Iterator[None]:
    """LedgerError for an answer that is none of its kind."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise LedgerError(f"The {what} cannot be read: {error!r}. Do operator and ledger have one version?") from error


def _registration(entry: Mapping[str, Any]) -> Registration:
    namespace, slash, name = str(entry["name"]).partition("/")
    if not slash:
        raise ValueError(f"{namespace!r} has no namespace")
    return Registration(namespace=namespace, name=name, running=entry["state"] == "Running")


def _newest(answer: Mapping[str, Any], *, after: int) -> Journal | int:
    """The newest look, or the number after which to ask again. Raises KeyError, IndexError, TypeError or ValueError for what is no such answer."""
    last, found = int(answer["last"]), answer["looks"]
    if not last:
        return Journal(sequence=0, memory=Memory())
    if found and found[-1]["sequence"] == last:
        return Journal(sequence=last, memory=record.read(Memory, found[-1]["said"]["memory"]))
    if not found and after == last - 1:
        raise ValueError(f"look {last} is said to be the last one and is not there")
    return int(found[-1]["sequence"]) if found else last - 1


def parsed(answer: Mapping[str, Any], *, quantiles: Mapping[str, float]) -> Sums:
    """The ledger's answer as a look reads it. Raises KeyError, TypeError or ValueError for one that it cannot."""
    units: dict[str, dict[str, int]] = {}
    for entry in answer["units"]:
        units.setdefault(str(entry["stratum"]), {})[str(entry["arm"])] = int(entry["units"])
    counts, newest = answer["counts"], answer["newest"]["outcome"]
    return Sums(
        now=_time(answer["now"]),
        closed={metric["name"]: _arms(metric, "closed") for metric in answer["metrics"]},
        open={metric["name"]: _arms(metric, "open") for metric in answer["metrics"]},
        units=units,
        waiting=int(counts["waiting"]),
        in_two_arms=int(counts["seenInTwoArms"]),
        newest_outcome=_time(newest) if newest else None,
        quantiles={**quantiles, **_caps(answer)},
    )


def _caps(answer: Mapping[str, Any]) -> dict[str, float]:
    """Caps that it has: of a cap whose status could not be written the percentile may be another one by now, and the ledger takes no other cap."""
    return {metric["name"]: float(metric["cap"]) for metric in answer["metrics"] if metric.get("cap") is not None}


def _arms(metric: Mapping[str, Any], phase: str) -> Arms:
    found: dict[str, dict[str, sums.Sums]] = {}
    for entry in metric["sums"]:
        where = f"{metric['name']}, {entry['arm']}, stratum {entry['stratum']}"
        found.setdefault(str(entry["arm"]), {})[str(entry["stratum"])] = sums.parse(entry[phase], of=where)
    return found


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)
