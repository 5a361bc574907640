"""What the agent can be told, all through environment variables named SLIPWAY_<FIELD>."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from slipway_service import variables
from slipway_service.variables import PREFIX

_SERVICE_LINK = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)$")
"""Kubernetes gives every pod such variables for every Service, ``slipway-router`` among them."""
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""What can be the value of a label and the name of a namespace."""
_LABEL = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_URL = re.compile(r"https?://([-A-Za-z0-9._]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One field, one variable: ``drain_seconds`` is SLIPWAY_DRAIN_SECONDS."""

    router_name: str
    """The router that this pod is one of: only tables labelled with it are taken. No default: two routers must never take each other's tables."""

    tables_label: str = "slipway.dev/router"
    """The label by which tables name the router that is to take them."""

    namespace: str | None = None
    """Where tables and pods are looked for. Absent: the namespace of the pod's service account, or of the kubeconfig's context."""

    kubeconfig: str | None = None
    """Path of a kubeconfig written as JSON, to run outside a cluster. Absent: the pod's service account."""

    agent_host: str = "0.0.0.0"  # noqa: S104 - the kubelet, Prometheus and the operator ask from outside the pod
    """Address of the agent's own HTTP server."""

    agent_port: int = 8081
    """Port of the agent's own HTTP server; 0 takes a free one, which the log tells."""

    nginx_socket: str = "/run/slipway/nginx.sock"
    """Unix socket on which nginx is told what to do."""

    agent_socket: str = "/run/slipway/agent.sock"
    """Unix socket on which nginx hands over samples for the shadow."""

    tables_file: str = "/run/slipway/tables.json"
    """The last tables that nginx took: with them a router starts when there is no API server."""

    exposures_file: str = "/var/log/slipway/exposures.jsonl"
    """Where exposures are appended, one JSON object a line; full files get ``.1``, ``.2`` and so on, the highest being the oldest."""

    exposures_bytes: int = 16 * 1024 * 1024
    """Size at which a file of exposures is full."""

    exposures_files: int = 4
    """Full files of exposures that are kept; with the next one the oldest goes."""

    ledger_url: str | None = None
    """Where the ledger is, that exposures are sent to: ``http://slipway-ledger.slipway-system:8080``. Absent: they stay in the files."""

    ledger_token_file: str | None = None
    """Path of the bearer token for the ledger, which is read anew for each batch. Absent: none is sent."""

    api_patience_seconds: float = 3.0
    """How long a starting agent waits for the API server before nginx gets the tables of the file."""

    take_seconds: float = 1.0
    """Seconds between two looks at nginx: is it there, has it the tables, what has it counted."""

    drain_seconds: float = 15.0
    """How long the agent can still be asked for counts after SIGTERM: the operator asks every few seconds and must not miss the last ones."""

    shadow_bytes: int = 4 * 1024 * 1024
    """Samples that wait for the shadow, in bytes of memory; what does not fit is dropped."""

    shadow_concurrency: int = 4
    """Requests to shadows at the same time, all models together."""

    shadow_timeout_seconds: float = 10.0
    """How long a shadow may take for an answer."""

    pod_port: int = 8080
    """Port of predictor pods, for HTTP."""

    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings; SettingsError tells of every variable that does not fit, not only of the first."""
        missing = f"{PREFIX}ROUTER_NAME is not set: name the router that this pod is one of, as slipway-router."
        return cls(**variables.read(cls, environment, _parsed, wrong=[] if environment.get(f"{PREFIX}ROUTER_NAME") else [missing]))


def unknown(environment: Mapping[str, str]) -> list[str]:
    """Variables with the prefix that nothing reads, those that Kubernetes makes for Services left out: probably misspelt."""
    known = {PREFIX + field.name.upper() for field in dataclasses.fields(Settings)}
    return sorted(name for name in environment if name.startswith(PREFIX) and name not in known and not _SERVICE_LINK.search(name))


def _parsed(of: variables.Field, text: str) -> Any:
    field = of.name
    if field in ("router_name", "namespace"):
        return _named(text)
    if field == "tables_label":
        return _label(text)
    if field == "ledger_url":
        return _url(text)
    if field in ("agent_port", "pod_port"):
        return variables.whole(text, least=0 if field == "agent_port" else 1, most=65535)
    if field in ("exposures_bytes", "shadow_bytes"):
        return variables.whole(text, least=1024)
    if field in ("exposures_files", "shadow_concurrency"):
        return variables.whole(text, least=1, most=1000)
    if field in ("take_seconds", "shadow_timeout_seconds"):
        return variables.seconds(text, least=0.05)
    if field.endswith("_seconds"):
        return variables.seconds(text, least=0.0)
    return variables.level(text) if field == "log_level" else text


def _named(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("it should be a name of Kubernetes: at most 63 small letters, digits and hyphens")
    return text


def _label(text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise ValueError("it should be the key of a label, as slipway.dev/router")
    return text


def _url(text: str) -> str:
    if not _URL.fullmatch(text):
        raise ValueError("it should be an address without a path, as http://slipway-ledger.slipway-system:8080")
    return text.rstrip("/")
