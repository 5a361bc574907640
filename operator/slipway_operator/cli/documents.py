"""YAML as kubectl reads it, with the line of every field.

kubectl's reader is older than YAML 1.2 and not quite YAML 1.1: ``y`` and ``n`` are booleans, ``1e3`` is a number, ``1:30`` and dates are strings,
``1.0`` arrives at the server as 1. A validator that read ``name: y`` as a string would call good what the API server refuses.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

Path = tuple[str | int, ...]

_TAG: Final = "tag:yaml.org,2002:"
_TRUE: Final = "y|Y|yes|Yes|YES|true|True|TRUE|on|On|ON"
_FALSE: Final = "n|N|no|No|NO|false|False|FALSE|off|Off|OFF"
_SCALARS: Final = (
    ("null", r"~|null|Null|NULL|"),
    ("merge", r"<<"),
    ("bool", f"{_TRUE}|{_FALSE}"),
    ("int", r"[-+]?(0b_*[01][01_]*|0o_*[0-7][0-7_]*|0x_*[0-9a-fA-F][0-9a-fA-F_]*|0[0-7_]*|[1-9][0-9_]*)"),
    ("float", r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9]*)?)([eE][-+]?[0-9]+)?"),
)
_LARGEST_EXACT_FLOAT: Final = 2**53


class _Loader(yaml.SafeLoader):
    """A YAML reader that tells the types of plain scalars as kubectl's does."""


_Loader.yaml_implicit_resolvers = {}  # PyYAML's own resolvers stay out; add_implicit_resolver fills this one

for _name, _pattern in _SCALARS:
    _Loader.add_implicit_resolver(f"{_TAG}{_name}", re.compile(f"^(?:{_pattern})$"), None)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong: where, and a sentence."""

    path: Path
    message: str


@dataclass(frozen=True, kw_only=True)
class Document:
    """One document of a file: its value, and where each of its fields stands."""

    value: Any
    lines: Mapping[Path, int]
    problems: tuple[Problem, ...] = ()

    def line(self, path: Path) -> int:
        """The line, from 1, of the field at ``path``, or of the nearest field around it that is written down."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 1)

    def objects(self) -> Iterator["Document"]:
        """The document itself, or what it lists: ``kind: List`` is how ``kubectl get -o yaml`` writes several objects."""
        if not (isinstance(self.value, dict) and self.value.get("kind") == "List" and isinstance(self.value.get("items"), list)):
            yield self
            return
        for index in range(len(self.value["items"])):
            yield self._within(("items", index))

    def _within(self, prefix: Path) -> "Document":
        depth = len(prefix)
        value = self.value
        for step in prefix:
            value = value[step]
        return Document(
            value=value,
            lines={path[depth:]: line for path, line in self.lines.items() if path[:depth] == prefix},
            problems=tuple(
                Problem(path=problem.path[depth:], message=problem.message) for problem in self.problems if problem.path[:depth] == prefix
            ),
        )


class NotYamlError(ValueError):
    """The text is no YAML; carries the line."""

    def __init__(self, message: str, *, line: int) -> None:
        super().__init__(message)
        self.line = line


def read(text: str) -> Iterator[Document]:
    """The documents of ``text`` in order, empty ones left out.

    Raises:
        NotYamlError: at the first place that is no YAML; the documents before it have been given by then.
    """
    try:
        for node in yaml.compose_all(text, Loader=_Loader):
            if node is not None and not _is_empty(node):
                yield _document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise NotYamlError(f"no YAML: {error.problem or error.context}", line=mark.line + 1 if mark else 1) from error
    except yaml.YAMLError as error:
        raise NotYamlError(f"no YAML: {error}", line=1) from error


def _is_empty(node: yaml.Node) -> bool:
    return node.tag == f"{_TAG}null"


def _document(node: yaml.Node) -> Document:
    reading = _Reading()
    value = reading.value(node, path=())
    return Document(value=value, lines=reading.lines, problems=tuple(reading.problems))


@dataclass(kw_only=True)
class _Reading:
    """One document being turned into values."""

    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    _open: set[int] = field(default_factory=set)

    def value(self, node: yaml.Node, *, path: Path) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        if id(node) in self._open:
            self.problems.append(Problem(path=path, message="an alias stands inside what it points to"))
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, path=(*path, index)) for index, item in enumerate(node.value)]
            return self._mapping(node, path=path)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.Node, *, path: Path) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, member in node.value:
            name = _key(key)
            if key.tag == f"{_TAG}merge":
                merged |= self._merged(member, path=path)
                continue
            self.lines[(*path, name)] = key.start_mark.line + 1
            if name in own:
                self.problems.append(Problem(path=(*path, name), message="the key is written twice"))
            own[name] = self.value(member, path=(*path, name))
        return merged | own

    def _merged(self, node: yaml.Node, *, path: Path) -> dict[str, Any]:
        """What ``<<: *anchor`` or ``<<: [*first, *second]`` brings; the first one wins."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        result: dict[str, Any] = {}
        for source in sources:
            value = self.value(source, path=path)
            result = (value if isinstance(value, dict) else {}) | result
        return result


def _key(node: yaml.Node) -> str:
    """A key is always a string in JSON; kubectl writes a boolean one out, so that ``y:`` arrives as ``true:``."""
    if node.tag != f"{_TAG}bool":
        return str(node.value)
    return "true" if node.value in _TRUE.split("|") else "false"


def _scalar(node: yaml.ScalarNode) -> Any:
    """The value kubectl would send for ``node``."""
    text = str(node.value)
    match node.tag.removeprefix(_TAG):
        case "null":
            return None
        case "bool":
            return text in _TRUE.split("|")
        case "int":
            return _integer(text.replace("_", ""))
        case "float":
            return _float(text)
        case _:
            return text


def _integer(text: str) -> int:
    """Base by prefix; a leading 0 alone means octal, as in C."""
    digits = text.lstrip("+-")
    octal = len(digits) > 1 and digits.isdigit() and digits.startswith("0")
    return int(text, 8) if octal else int(text, 0)


def _float(text: str) -> int | float | str:
    """JSON has one kind of number: what is whole arrives as an integer. What no float can hold stays a string."""
    number = float(text.replace("_", ""))
    if math.isinf(number):
        return text
    return int(number) if number.is_integer() and abs(number) <= _LARGEST_EXACT_FLOAT else number
