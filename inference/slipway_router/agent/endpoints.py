"""Which pods of a revision are ready, out of EndpointSlices."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from slipway_router.agent.api import Object

SERVICE_NAME = "kubernetes.io/service-name"
_PREDICTOR = "-predictor"
"""KServe's Service of revision ``r`` is ``r-predictor``."""


@dataclass(frozen=True, slots=True)
class Slice:
    """What matters of one EndpointSlice."""

    revision: str
    family: str
    """``IPv4`` or ``IPv6``."""
    addresses: tuple[str, ...]
    """Of the ready endpoints."""


def read(obj: Object) -> Slice | None:
    """The slice, or None where it belongs to no predictor or names hosts instead of addresses.

    An endpoint that is going away is not ready from the moment its pod is being deleted, though it may still be serving.
    """
    service = (obj["metadata"].get("labels") or {}).get(SERVICE_NAME) or ""
    family = obj.get("addressType")
    if not service.endswith(_PREDICTOR) or service == _PREDICTOR or family not in ("IPv4", "IPv6"):
        return None
    ready = (endpoint for endpoint in obj.get("endpoints") or () if (endpoint.get("conditions") or {}).get("ready") is not False)
    # All addresses of an endpoint are the same pod; only the first may be used.
    return Slice(
        service.removesuffix(_PREDICTOR), family, tuple(sorted({endpoint["addresses"][0] for endpoint in ready if endpoint.get("addresses")}))
    )


def pods(slices: Iterable[Slice], *, revisions: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """The ready addresses of each of ``revisions``, sorted; no address gives an empty tuple.

    A pod of a cluster with two families has one address of each: those of IPv4 count, for a pod must not be there twice.
    """
    found: dict[str, dict[str, set[str]]] = {revision: {} for revision in revisions}
    for each in slices:
        if each.revision in found:
            found[each.revision].setdefault(each.family, set()).update(each.addresses)
    return {revision: tuple(sorted(families.get("IPv4") or families.get("IPv6") or ())) for revision, families in found.items()}
