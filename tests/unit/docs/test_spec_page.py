"""The pages of kinds agree with the code: every field with its bounds and default, every condition, every reason."""

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from slipway_operator.api import conditions, crd
from slipway_operator.reconcile import summary
from slipway_operator.state import revision
from slipway_testing.golden import REPOSITORY

TROUBLESHOOTING = (REPOSITORY / "docs/guides/troubleshooting.md").read_text()
MODEL_SOURCE = crd.crd(crd.MODEL_DEPLOYMENT)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["model"][
    "properties"
]

DERIVED = {conditions.READY, conditions.RECONCILING, conditions.STALLED}
TYPES = DERIVED | {word for outline in (summary.MODEL_DEPLOYMENT, summary.EXPERIMENT) for word in (*outline.concerns, *outline.besides)}
WORDS = {value for name, value in vars(conditions).items() if name.isupper() and isinstance(value, str)}
REASONS = WORDS - TYPES
STEPS = {
    word for word in REASONS if re.fullmatch(r"Revision(Created|Woken|Promoted|Parked|Removed)|RolloutStep|Experiment(Started|Step)|ArmStopped", word)
}
AS_IT_SHOULD_BE = {
    conditions.SERVING,
    conditions.SPEC_ACCEPTED,
    conditions.MODEL_LOADED,
    conditions.REVISION_ROUTED,
    conditions.ENDPOINT_READY,
    conditions.MODEL_ANSWERS,
    conditions.RESPONSE_FIXED,
    conditions.SPEC_CURRENT,
    conditions.RUNNING,
    conditions.CONCLUDED,
    conditions.DIVIDING,
    conditions.LEDGER_ANSWERS,
    conditions.DATA_SOUND,
    conditions.ARM_PROMOTED,
    conditions.CONTROL_KEPT,
    conditions.PROGRESSING,
    conditions.SETTLED,
}


@dataclass(frozen=True, kw_only=True)
class Page:
    """The page of a kind."""

    kind: crd.Kind
    outline: summary.Outline

    def __str__(self) -> str:
        return self.kind.singular

    @functools.cached_property
    def text(self) -> str:
        """What it says."""
        return (REPOSITORY / f"docs/spec/{self.kind.singular}.md").read_text()

    @functools.cached_property
    def fields(self) -> dict[str, str]:
        """Path of every field, and the line of facts that must stand under its heading."""
        schema = crd.crd(self.kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
        return {path: line for part in ("spec", "status") for path, line in fields(schema[part], part)}

    @functools.cached_property
    def headings(self) -> dict[str, str]:
        """Each field that has a heading of its own, and the line under it. One heading may name several fields."""
        found = re.findall(r"^####? (`.*`)\n\n(.*)$", self.text, re.MULTILINE)
        return {path.strip("`"): line for paths, line in found for path in paths.split(", ")}

    @functools.cached_property
    def rows(self) -> set[str]:
        """The first cells of every table of its conditions that are code."""
        return set(re.findall(r"^\| `(\w+)` \|", self.text.partition("\n### Conditions\n")[2], re.MULTILINE))

    @functools.cached_property
    def stalled(self) -> set[str]:
        """Reasons that it says wait for somebody."""
        return set(re.findall(r"^\| `(\w+)` \| stalled \|", self.text, re.MULTILINE))


PAGES = (Page(kind=crd.MODEL_DEPLOYMENT, outline=summary.MODEL_DEPLOYMENT), Page(kind=crd.EXPERIMENT, outline=summary.EXPERIMENT))
EACH = pytest.mark.parametrize("page", PAGES, ids=str)


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


@pytest.mark.parametrize(("page", "path"), [(page, path) for page in PAGES for path in page.fields], ids=str)
def test_every_field_has_a_heading_with_its_type_bounds_and_default(page: Page, path: str) -> None:
    assert page.headings.get(path) == page.fields[path]


@EACH
def test_no_heading_is_of_a_field_that_does_not_exist(page: Page) -> None:
    assert page.headings.keys() <= page.fields.keys()


def test_every_kind_has_a_page() -> None:
    assert tuple(page.kind for page in PAGES) == crd.KINDS


@EACH
def test_every_condition_of_a_kind_has_a_row_on_its_page(page: Page) -> None:
    assert page.rows & TYPES == DERIVED | {*page.outline.concerns, *page.outline.besides}


@EACH
def test_every_row_is_of_a_word_that_exists(page: Page) -> None:
    assert page.rows <= WORDS


def test_every_reason_has_a_row_on_one_of_the_pages() -> None:
    assert {word for page in PAGES for word in page.rows} >= REASONS


@pytest.mark.parametrize("reason", sorted(REASONS - STEPS - AS_IT_SHOULD_BE))
def test_every_reason_that_something_is_not_as_it_should_be_has_a_heading_in_troubleshooting(reason: str) -> None:
    assert re.search(rf"^### {reason}$", TROUBLESHOOTING, re.MULTILINE)


@EACH
def test_a_page_says_which_reasons_wait_for_somebody(page: Page) -> None:
    assert page.stalled == page.rows & conditions.STALLING_REASONS
