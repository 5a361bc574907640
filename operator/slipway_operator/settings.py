"""What the operator can be told, all through environment variables named SLIPWAY_<FIELD>."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self


class SettingsError(Exception):
    """An environment variable does not hold what it should; the message names it, what it holds and what it should."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One field, one variable: ``drain_seconds`` is SLIPWAY_DRAIN_SECONDS."""

    runtimes: Mapping[str, str]
    """Current ClusterServingRuntime of each family: ``slipway-triton=slipway-triton-1a2b3c4d,other=other-5e6f7a8b``.
    No default: a revision must never be pinned to a runtime that nobody named."""

    namespace: str | None = None
    """Only objects of this namespace are looked after. Absent: of all namespaces, which needs a ClusterRoleBinding."""

    router_image: str | None = None
    """Image of the routers. Absent: there are none, a Service leads to the pods of a revision, and spec.traffic has no effect."""

    transformer_image: str | None = None
    """Image of the transformers whose spec names none. Absent: such a spec is not accepted."""

    ledger_url: str | None = None
    """Address of the ledger, such as http://slipway-ledger.slipway-system:8080. Absent: no Experiment is accepted."""

    ledger_token_file: str | None = None
    """Path of the token that the ledger knows the operator by, read at each request. Absent: none is sent."""

    router_replicas: int = 2
    """Pods of each router."""

    lease_namespace: str | None = None
    """Namespace of the Lease that elects the leader. Absent: the operator's own, or the kubeconfig's."""

    lease_name: str = "slipway-operator"
    """Name of that Lease. Operators with different names do not know of each other: only for operators of different namespaces."""

    lease_seconds: float = 15.0
    """Seconds after which a leader that fell silent is replaced. It stops writing after two thirds of them; renewals come every fifth."""

    workers: int = 16
    """Reconciles at the same time. They wait on the network most of the time; past 16 the API server is what limits."""

    drain_seconds: float = 15.0
    """Seconds that a revision keeps its pods after the Service moved away: kube-proxy needs about one, clients with open connections the rest."""

    route_seconds: float = 2.0
    """Seconds between moving a Service, or the first endpoint of a new one, and calling it routed: kube-proxy writes its rules once a second, on each
    node for itself, and tells nobody."""

    poll_seconds: float = 3.0
    """Seconds between two looks at a revision that loads its model. Triton's load errors are seen by asking, nothing announces them."""

    resync_seconds: float = 36_000.0
    """Every object is looked at again this often although nothing changed: against bugs, not part of how anything works."""

    probe_host: str = "0.0.0.0"  # noqa: S104 - the kubelet asks from outside the pod
    """Address of the liveness endpoint."""

    probe_port: int = 8080
    """Port of the liveness endpoint, /healthz."""

    metrics_port: int = 8081
    """Port of the Prometheus metrics, /metrics."""

    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""

    kubeconfig: str | None = None
    """Path of a kubeconfig, to run outside a cluster. Absent: the pod's service account, then $KUBECONFIG, then ~/.kube/config."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings; raises SettingsError for a variable that does not fit, and for one with the prefix that nothing reads."""
        given = {name: value for name, value in environment.items() if name.startswith(PREFIX)}
        known = {PREFIX + field.name.upper(): field for field in dataclasses.fields(cls)}
        given = {name: value for name, value in given.items() if name in known or not _SERVICE_LINK.search(name)}
        unknown = sorted(given.keys() - known.keys())
        if unknown:
            raise SettingsError(f"{', '.join(unknown)}: no such setting; there are {', '.join(sorted(known))}.")
        if not given.get(PREFIX + "RUNTIMES"):
            raise SettingsError(f"{PREFIX}RUNTIMES is not set: name the current ClusterServingRuntime of each family, as FAMILY=NAME,FAMILY=NAME.")
        return cls(**{known[name].name: _parsed(name, value, known[name].name) for name, value in given.items()})


def _parsed(name: str, value: str, field: str) -> Any:
    parse = _PARSERS.get(field, str)
    try:
        return parse(value)
    except ValueError as error:
        raise SettingsError(f"{name} is {value!r}: {error}.") from error


def runtimes(text: str) -> Mapping[str, str]:
    """``family=name,family=name`` as a mapping; ValueError where it is not."""
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    if any(not family.strip() or not name.strip() for family, _, name in pairs):
        raise ValueError("it should be FAMILY=NAME, several of them with commas between")
    return {family.strip(): name.strip() for family, _, name in pairs}


def _number(text: str) -> float:
    number = float(text)
    if number < 0:
        raise ValueError("it should not be negative")
    return number


def _lease(text: str) -> float:
    seconds = _number(text)
    if seconds < 1:
        raise ValueError("it should be at least 1: a Lease counts in whole seconds")
    return seconds


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError("it should be at least 1")
    return number


def _level(text: str) -> str:
    if text.upper() not in _LEVELS:
        raise ValueError(f"it should be one of {', '.join(_LEVELS)}")
    return text.upper()


PREFIX = "SLIPWAY_"
# Kubernetes makes such variables for every Service of the namespace, and one of them is slipway-ledger.
_SERVICE_LINK = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)$")
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_PARSERS: Mapping[str, Callable[[str], Any]] = {
    "runtimes": runtimes,
    "lease_seconds": _lease,
    "router_replicas": _count,
    "workers": _count,
    "drain_seconds": _number,
    "route_seconds": _number,
    "poll_seconds": _number,
    "resync_seconds": _number,
    "probe_port": _count,
    "metrics_port": _count,
    "log_level": _level,
}
