"""Objects as YAML text: the same objects give the same bytes, and a person can read them."""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

_WIDTH = 140


class _Dumper(yaml.SafeDumper):
    """Block style throughout; several lines as a literal block, nothing as an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _string(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _string)


def dump(value: Mapping[str, Any]) -> str:
    """One document, keys in the order they have."""
    return yaml.dump(dict(value), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH, default_flow_style=False)


def dump_all(values: Iterable[Mapping[str, Any]]) -> str:
    """Several documents, divided by ``---``."""
    return "---\n".join(dump(value) for value in values)
