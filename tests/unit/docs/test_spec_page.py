"""docs/spec/modeldeployment.md agrees with the code: every field with its bounds and default, every condition, every reason."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from slipway_operator.api import conditions, crd
from slipway_operator.reconcile import summary
from slipway_operator.state import revision
from slipway_testing.golden import REPOSITORY

PAGE = (REPOSITORY / "docs/spec/modeldeployment.md").read_text()
TROUBLESHOOTING = (REPOSITORY / "docs/guides/troubleshooting.md").read_text()
SCHEMA = crd.crd(crd.MODEL_DEPLOYMENT)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]

MODEL_SOURCE = SCHEMA["spec"]["properties"]["model"]["properties"]

TYPES = {conditions.READY, conditions.RECONCILING, conditions.STALLED, *summary.CONCERNS, *summary.BESIDES}
WORDS = {value for name, value in vars(conditions).items() if name.isupper() and isinstance(value, str)}
REASONS = WORDS - TYPES
STEPS = {word for word in REASONS if re.fullmatch(r"Revision(Created|Woken|Promoted|Parked|Removed)|RolloutStep", word)}
AS_IT_SHOULD_BE = {
    conditions.SERVING,
    conditions.SPEC_ACCEPTED,
    conditions.MODEL_LOADED,
    conditions.REVISION_ROUTED,
    conditions.ENDPOINT_READY,
    conditions.MODEL_ANSWERS,
    conditions.RESPONSE_FIXED,
    conditions.PROGRESSING,
    conditions.SETTLED,
}


def fields(schema: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """Path of every field below ``path``, and the line of facts that must stand under its heading."""
    for name, inner in schema.get("properties", {}).items():
        where = f"{path}.{name}"
        yield where, " · ".join(facts(inner, where, required=name in schema.get("required", [])))
        if where != "spec.model" and inner.get("properties") == MODEL_SOURCE:
            continue  # described once
        yield from fields(inner, where)
        yield from fields(inner.get("items", {}), f"{where}[]")


def facts(schema: dict[str, Any], path: str, *, required: bool) -> Iterator[str]:
    yield "map" if "additionalProperties" in schema else "list" if schema["type"] == "array" else schema["type"]
    if required and path.startswith("spec"):
        yield "required"
    if "enum" in schema:
        yield "one of " + ", ".join(f"`{choice}`" for choice in schema["enum"])
    if "minimum" in schema and "maximum" in schema:
        yield f"{schema['minimum']} to {schema['maximum']}"
    for keyword, unit in (("maxLength", "characters"), ("maxItems", "items"), ("maxProperties", "entries")):
        if keyword in schema and path.startswith("spec"):
            yield f"at most {schema[keyword]} {unit}"
    if "default" in schema and "properties" not in schema and path.startswith("spec"):
        yield f"default `{json.dumps(schema['default'])}`"
    if path.startswith(("spec.model", "spec.serving", "spec.transformer")):
        unpinned = any(f"{path}.".startswith(f"spec.{setting}.") for setting in revision.NOT_IN_A_REVISION)
        yield "no new revision" if unpinned else "new revision"


FIELDS = {path: line for part in ("spec", "status") for path, line in fields(SCHEMA[part], part)}


def headings() -> dict[str, str]:
    """Each field that has a heading of its own on the page, and the line under it. One heading may name several fields."""
    found = re.findall(r"^####? (`.*`)\n\n(.*)$", PAGE, re.MULTILINE)
    return {path.strip("`"): line for paths, line in found for path in paths.split(", ")}


@pytest.mark.parametrize("path", FIELDS)
def test_every_field_has_a_heading_with_its_type_bounds_and_default(path: str) -> None:
    assert headings().get(path) == FIELDS[path]


def test_no_heading_is_of_a_field_that_does_not_exist() -> None:
    assert headings().keys() <= FIELDS.keys()


def rows(text: str) -> set[str]:
    """The first cells of every table of a page that are code."""
    return set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))


def test_every_condition_and_every_reason_has_a_row() -> None:
    assert rows(PAGE.partition("\n## Status\n")[2]) >= WORDS


@pytest.mark.parametrize("reason", sorted(REASONS - STEPS - AS_IT_SHOULD_BE))
def test_every_reason_that_something_is_not_as_it_should_be_has_a_heading_in_troubleshooting(reason: str) -> None:
    assert re.search(rf"^### {reason}$", TROUBLESHOOTING, re.MULTILINE)


def test_the_page_says_which_reasons_wait_for_somebody() -> None:
    marked = set(re.findall(r"^\| `(\w+)` \| stalled \|", PAGE, re.MULTILINE))
    assert marked == conditions.STALLING_REASONS
