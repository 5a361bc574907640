"""Field types shared by the kinds: each carries its bounds, its pattern and its Kubernetes extensions."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """The base of every API type: camelCase outside, immutable, unknown fields ignored.

    Unknown fields are ignored because an operator must read objects that a newer one wrote; people get their typing errors from
    kubectl's strict validation and from ``slipway validate``.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore", strict=True)


def rules(*pairs: tuple[str, str], field: str | None = None) -> dict[str, Any]:
    """``json_schema_extra`` of CEL rules: pairs of (rule, message); ``field`` is where below the object they point, such as ``.min``."""
    place = {"fieldPath": field} if field else {}
    return {"x-kubernetes-validations": [{"rule": rule, "message": message, **place} for rule, message in pairs]}


def all_of(*given: dict[str, Any]) -> dict[str, Any]:
    """``json_schema_extra`` of several ``rules``."""
    return {"x-kubernetes-validations": [rule for some in given for rule in some["x-kubernetes-validations"]]}


def keyed_list(*keys: str) -> dict[str, Any]:
    """``json_schema_extra`` of a list whose items are told apart by ``keys``, so that two writers can own two items."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


ATOMIC_LIST: dict[str, Any] = {"x-kubernetes-list-type": "atomic"}
ATOMIC_MAP: dict[str, Any] = {"x-kubernetes-map-type": "atomic"}
# An object whose content belongs to another API: the server keeps it whole and that API's own server checks it.
FOREIGN: dict[str, Any] = {"x-kubernetes-preserve-unknown-fields": True}

DnsLabel = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")]


class LocalReference(Model):
    """An object of the same namespace, by name."""

    name: ObjectName = Field(description="Name of the object.")


def _tuple_of_list(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


# Strict mode refuses a list where a tuple is declared, and JSON has only lists.
FromList = BeforeValidator(_tuple_of_list)

# A share or a probability, as a short string: as a number a quantity's `5m` would read as five minutes somewhere, and 0.1 as 0.1000000001.
Share = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^(0(\.[0-9]{1,14})?|1(\.0{1,14})?)$")]

# A number in decimal text, as exact as its reader takes it.
DecimalText = Annotated[str, Field(min_length=1, max_length=48, pattern=r"^-?[0-9]{1,20}(\.[0-9]{1,20})?$")]

# A Kubernetes quantity: `500m`, `2Gi`, or a bare integer. The pattern is that of apimachinery's resource.Quantity, without exponents' sign of the
# number itself: a negative amount of memory helps nobody.
QUANTITY_PATTERN = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"
Quantity = Annotated[int, Field(ge=0, le=2**53)] | Annotated[str, Field(min_length=1, max_length=20, pattern=QUANTITY_PATTERN)]
