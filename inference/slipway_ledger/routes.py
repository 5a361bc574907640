"""Paths of the API: how they look, which methods they take, who may use them."""

from collections.abc import Mapping
from dataclasses import dataclass

from slipway_ledger import looks
from slipway_ledger.refusals import Refused
from slipway_service.sentences import quoted


@dataclass(frozen=True, kw_only=True)
class Route:
    """A method of a path."""

    method: str
    path: str
    """With names in braces."""
    name: str
    """Of what it does."""
    roles: tuple[str, ...] | None
    """Who may, besides admin; None: everybody, without a token."""
    most_bytes: int = 0
    """Of its body, where that may be longer than the setting says of all."""


_EXPERIMENT = "/v1/experiments/{namespace}/{name}"

ROUTES = (
    Route(method="GET", path="/v1/experiments", name="experiments", roles=("reader",)),
    Route(method="PUT", path=_EXPERIMENT, name="register", roles=()),
    Route(method="GET", path=_EXPERIMENT, name="show", roles=("reader",)),
    Route(method="DELETE", path=_EXPERIMENT, name="end", roles=()),
    Route(method="GET", path=f"{_EXPERIMENT}/sums", name="sums", roles=("reader",)),
    Route(method="GET", path=f"{_EXPERIMENT}/metrics/{{metric}}/quantile", name="quantile", roles=("reader",)),
    Route(method="POST", path=f"{_EXPERIMENT}/looks", name="look", roles=(), most_bytes=looks.MOST_BYTES),
    Route(method="GET", path=f"{_EXPERIMENT}/looks", name="looks", roles=("reader",)),
    Route(method="POST", path="/v1/exposures", name="exposures", roles=("router",)),
    Route(method="POST", path="/v1/outcomes", name="outcomes", roles=("application",)),
    Route(method="POST", path="/v1/labels", name="labels", roles=("application",)),
    Route(method="POST", path="/v1/labels/lookup", name="lookup", roles=("reader",)),
    Route(method="DELETE", path="/v1/units/{unit}", name="forget", roles=()),
    Route(method="GET", path="/v1/openapi.json", name="openapi", roles=None),
    Route(method="GET", path="/health/live", name="live", roles=None),
    Route(method="GET", path="/health/ready", name="ready", roles=None),
)


class NotAllowed(Refused):
    """The path is there and the method is not (405)."""

    def __init__(self, method: str, allowed: str) -> None:
        super().__init__(f"{quoted(method)} is not allowed here: use {allowed}", status=405, reason="method")
        self.allowed = allowed


def find(method: str, path: str) -> tuple[Route, Mapping[str, str]]:
    """The route of a request, and what stands in its path in place of the names. Refused (404, 405): there is none."""
    parts = path.split("/")
    allowed = []
    for route, pattern in _PATTERNS:
        found = _matched(pattern, parts)
        if found is None:
            continue
        if route.method == method or (route.method == "GET" and method == "HEAD"):
            return route, found
        allowed.append(route.method)
    if allowed:
        raise NotAllowed(method, ", ".join(allowed))
    raise Refused("there is nothing at this path: /v1/openapi.json says what there is", status=404, reason="path")


_PATTERNS = tuple((route, route.path.split("/")) for route in ROUTES)


def _matched(pattern: list[str], parts: list[str]) -> dict[str, str] | None:
    if pattern[-1] == "{unit}":  # the only name that may hold a slash: granian has decoded the path
        parts = [*parts[: len(pattern) - 1], "/".join(parts[len(pattern) - 1 :])]
    if len(pattern) != len(parts) or "" in parts[1:]:
        return None
    found = {}
    for expected, part in zip(pattern, parts, strict=True):
        if expected.startswith("{"):
            found[expected[1:-1]] = part
        elif expected != part:
            return None
    return found
