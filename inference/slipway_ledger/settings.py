"""What the ledger can be told by environment variables named SLIPWAY_<FIELD>."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from slipway_service import variables


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One field, one variable: ``body_bytes`` is SLIPWAY_BODY_BYTES."""

    database: str = "/var/lib/slipway/ledger.db"
    """Path of the SQLite file, or ``postgresql://user@host/name``."""

    database_password: str = dataclasses.field(default="", repr=False)
    """Of the PostgreSQL user; empty where it needs none."""

    tokens_file: str = "/etc/slipway/tokens"
    """Path of the tokens: lines of `role token [namespace]` or `role account namespace/name [namespace]`, read again when they change."""

    key_file: str = "/var/lib/slipway/key"
    """Path of the secret that units and requests are hashed with: 16 to 64 bytes, the same for as long as the data lives. Where there is no
    SQLite file either, the ledger makes it; so the default is where the data is, for one is of no use without the other."""

    kube_server: str = ""
    """``https://host:port`` of the API server that reviews tokens of service accounts; empty: that of the pod's cluster."""

    kube_authority_file: str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
    """Path of the certificate that the API server's is checked against."""

    kube_token_file: str = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - a path
    """Path of the ledger's own token, which the kubelet replaces."""

    review_seconds: float = 60.0
    """How long the API server's yes to a token holds, but no longer than the token: so long a deleted account may still send."""

    host: str = "0.0.0.0"  # noqa: S104 - routers, applications and Prometheus ask from outside the pod
    """Address that both servers listen on."""

    port: int = 8080
    """Port of the API."""

    metrics_port: int = 8082
    """Port of `/metrics`."""

    body_bytes: int = 1_048_576
    """Longest body of a request, but for a look; a longer one is refused with 413."""

    waiting_events: int = 50_000
    """Events that wait to be written at most; then requests are refused with 429."""

    skew_seconds: float = 300.0
    """How far ahead of the ledger's clock an event's time may be; others are refused and counted as skewed."""

    close_seconds: float = 1.0
    """How often windows that ended are counted as closed, so that a read has little left of it to do."""

    retention_days: float = 30.0
    """How long the data of an ended experiment stays."""

    late_days: float = 7.0
    """How late an exposure may come and still find all outcomes of the time before it: so much longer they are kept."""

    drain_seconds: float = 5.0
    """After SIGTERM: how long requests are taken while readiness is 503, so that everybody learns of it before nobody listens."""

    grace_seconds: float = 20.0
    """After that: how long requests under way may take until they are given up."""

    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings; SettingsError tells of every variable that does not fit, not only of the first."""
        return cls(**{"kube_server": _own_server(environment)} | variables.read(cls, environment, _parsed))


def _own_server(environment: Mapping[str, str]) -> str:
    """The API server of the cluster that this is a pod of, as the kubelet tells pods; empty outside of one."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "443")
    return (f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}") if host else ""


def _parsed(field: variables.Field, text: str) -> Any:
    if field.name in _CHECKED:
        return _CHECKED[field.name](text)
    return variables.like_default(field, text, number=variables.amount)


def _server(text: str) -> str:
    """Only over TLS: a token is sent there, and what is said of it believed."""
    if not re.fullmatch(r"https://[^/?#@\s]+", text):
        raise ValueError("it should be https://host:port")
    return text


_CHECKED: Mapping[str, Callable[[str], str]] = {"log_level": variables.level, "kube_server": _server}
