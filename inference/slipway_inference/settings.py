"""What the transformer can be told by environment variables named SLIPWAY_<FIELD>; what it is to do is in its configuration."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from slipway_service import variables


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One field, one variable: ``drain_seconds`` is SLIPWAY_DRAIN_SECONDS."""

    transformer_config: str = "/etc/slipway/transformer.json"
    """Path of the configuration."""

    host: str = "0.0.0.0"  # noqa: S104 - the router and Prometheus ask from outside the pod
    """Address that both servers listen on."""

    port: int = 8080
    """Port of the Open Inference Protocol."""

    metrics_port: int = 8082
    """Port of ``/metrics``."""

    triton_host: str = "127.0.0.1"
    """Where Triton is: in the same pod."""

    triton_port: int = 8180
    """Triton's HTTP port."""

    triton_timeout_seconds: float = 60.0
    """How long Triton may take for one call, its connection included; then the client gets 504."""

    triton_calls: int = 2
    """Calls under way beyond which requests wait to be merged: one that Triton computes, and one that it has at hand when it is done."""

    triton_connections: int = 32
    """Calls under way at most. Only full batches, and models that do not batch, use more than ``triton_calls``."""

    redis_password: str = dataclasses.field(default="", repr=False)
    """Of the Redis that features are read from; empty where it asks for none. Not in the configuration, which is no Secret."""

    max_rows: int = 16_384
    """Rows of one request; more are refused with 413."""

    body_bytes: int = 64 * 1024 * 1024
    """Longest body of a request; a longer one is refused with 413."""

    drain_seconds: float = 5.0
    """After SIGTERM: how long requests are taken while readiness is 503, so that everybody learns of it before nobody listens."""

    grace_seconds: float = 60.0
    """After that: how long requests under way may take until they are given up."""

    predictions_bytes: int = 64 * 1024 * 1024
    """Size at which a file of predictions is full."""

    predictions_files: int = 4
    """Full files of predictions that are kept; with the next one the oldest goes."""

    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings; SettingsError tells of every variable that does not fit, not only of the first."""
        return cls(**variables.read(cls, environment, _parsed))


def _parsed(field: variables.Field, text: str) -> Any:
    return variables.level(text) if field.name == "log_level" else variables.like_default(field, text, number=variables.seconds)
