"""HTML and SVG made of nested calls. Text is escaped where it enters, so a name that somebody wrote in YAML cannot become a tag."""

import html
import re
from collections.abc import Iterable
from typing import Final, TypeAlias

_BEFORE_A_UNIT: Final = re.compile(r"(?<=[0-9]) (?=%|points?\b)")
_VOID: Final = frozenset({"meta", "br", "hr"})


class Markup(str):
    """Text that is markup already. Only this module makes it."""

    __slots__ = ()


Child: TypeAlias = "str | Markup | None"


def tag(name: str, /, *children: Child, **attributes: str | float | None) -> Markup:
    """An element. Children that are no ``Markup`` are text; None is left out, as are attributes that are None.

    Attributes are named as Python can: ``class_`` is class, ``text_anchor`` text-anchor, ``viewBox`` stays.
    """
    told = "".join(f' {_name(key)}="{html.escape(_value(value))}"' for key, value in attributes.items() if value is not None)
    if name in _VOID:
        return Markup(f"<{name}{told}>")
    return Markup(f"<{name}{told}>{together(children)}</{name}>")


def together(children: Iterable[Child]) -> Markup:
    """Children side by side, without an element around them. No line ends between a number and what it is per cent or points of."""
    return Markup("".join(child if isinstance(child, Markup) else _kept(html.escape(child, quote=False)) for child in children if child is not None))


def _kept(text: str) -> str:
    return _BEFORE_A_UNIT.sub("\u00a0", text)


def style(text: str) -> Markup:
    """A style sheet of ours, which is not escaped.

    Raises:
        ValueError: it would end the element.

    """
    if "<" in text:
        raise ValueError("a style sheet has no <")
    return Markup(f"<style>{text}</style>")


def document(*children: Child) -> str:
    """A whole page."""
    return f"<!doctype html>\n{tag('html', *children, lang='en')}\n"


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _value(value: str | float) -> str:
    """Places of a picture need no more than a tenth."""
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
