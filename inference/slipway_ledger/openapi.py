"""The API as an OpenAPI 3.1 document, made of the routes and of the types that bodies are read as."""

from typing import Any

import msgspec

from slipway_ledger.definitions import Definition
from slipway_ledger.events import ExposureEvent, LabelEvent, OutcomeEvent
from slipway_ledger.routes import ROUTES, Route

_REF = "#/components/schemas/{name}"
_TYPES, _COMPONENTS = msgspec.json.schema_components((Definition, ExposureEvent, OutcomeEvent, LabelEvent), ref_template=_REF)
_DEFINITION, _EXPOSURE, _OUTCOME, _LABEL = _TYPES
_NUMBERED = {"type": "object", "required": ["sequence"], "properties": {"sequence": {"type": "integer", "minimum": 1}}}
_ERROR = {"type": "object", "required": ["error", "reason"], "properties": {"error": {"type": "string"}, "reason": {"type": "string"}}}
_TOLD = {
    "type": "object",
    "required": ["accepted", "duplicates", "refused"],
    "properties": {
        "accepted": {"type": "integer"},
        "duplicates": {"type": "integer"},
        "refused": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["index", "reason", "error"],
                "properties": {"index": {"type": "integer"}, "reason": {"type": "string"}, "error": {"type": "string"}},
            },
        },
    },
}
_LOOKUP = {
    "type": "object",
    "required": ["requestIds"],
    "properties": {
        "requestIds": {"type": "array", "items": {"type": "string"}, "maxItems": 1000},
        "experiment": {"type": "string"},
        "service": {"type": "string"},
    },
}
_EVENTS = (413, 415, 422, 429, 503)

_SUMMARIES: dict[str, tuple[str, Any, tuple[int, ...]]] = {
    "experiments": ("The experiments of the namespaces that the token may read, ended ones that still have data among them", None, (200,)),
    "register": ("Register an experiment, or set caps that were not set", _DEFINITION, (200, 201, 400, 409, 413, 422, 429, 503)),
    "show": ("The definition of an experiment", None, (200, 404)),
    "end": ("End an experiment", None, (200, 404, 429, 503)),
    "sums": ("Sums of every metric, arm and stratum, of open and of closed windows", None, (200, 400, 404, 429, 503)),
    "quantile": ("A quantile over closed units whatever their arm", None, (200, 400, 404, 429, 503)),
    "look": ("Append a look to the log", _NUMBERED, (200, 201, 400, 404, 409, 413, 429, 503)),
    "looks": ("Looks after one", None, (200, 400, 404, 429, 503)),
    "exposures": ("Send exposures", {"anyOf": [_EXPOSURE, {"type": "array", "items": _EXPOSURE}]}, (200, 400, *_EVENTS)),
    "outcomes": ("Send outcomes", {"anyOf": [_OUTCOME, {"type": "array", "items": _OUTCOME}]}, (200, 400, *_EVENTS)),
    "labels": ("Send labels", {"anyOf": [_LABEL, {"type": "array", "items": _LABEL}]}, (200, 400, *_EVENTS)),
    "lookup": ("The labels of requests", _LOOKUP, (200, 400, 413, 422, 429, 503)),
    "forget": ("Delete a unit everywhere", None, (200, 429, 503)),
    "openapi": ("This document", None, (200,)),
    "live": ("Whether the process works", None, (200,)),
    "ready": ("Whether events would be taken", None, (200, 503)),
}
_QUERIES = {"sums": ("now",), "quantile": ("q", "now"), "looks": ("after", "limit")}
_MEDIA = {
    "exposures": ("application/json", "application/x-ndjson"),
    "outcomes": ("application/json", "application/x-ndjson", "application/cloudevents+json", "application/cloudevents-batch+json"),
    "labels": ("application/json", "application/x-ndjson"),
}


def _operation(route: Route) -> dict[str, Any]:
    summary, body, statuses = _SUMMARIES[route.name]
    names = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    parameters += [{"name": name, "in": "query", "required": name == "q", "schema": {"type": "string"}} for name in _QUERIES.get(route.name, ())]
    found: dict[str, Any] = {
        "operationId": route.name,
        "summary": summary,
        "parameters": parameters,
        "responses": {str(status): _response(route, status) for status in sorted({*statuses, *(() if route.roles is None else (401, 403, 503))})},
        "security": [] if route.roles is None else [{"token": []}],
    }
    if body is not None:
        media = _MEDIA.get(route.name, ("application/json",))
        found["requestBody"] = {"required": True, "content": {kind: {"schema": body if kind == "application/json" else {}} for kind in media}}
    return found


def _response(route: Route, status: int) -> dict[str, Any]:
    events = route.name in _MEDIA
    said = status < 400 or (status == 422 and events)
    schema: dict[str, Any] = (_TOLD if events else {"type": "object"}) if said else _ERROR
    return {"description": "done" if status < 400 else "refused", "content": {"application/json": {"schema": schema}}}


def _paths() -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return paths


DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Slipway ledger", "version": "1", "description": "Exposures, outcomes and labels of experiments, and the sums made of them."},
    "paths": _paths(),
    "components": {"schemas": _COMPONENTS, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
}
