"""The pins of the environments that are installed with hashes."""

import importlib.metadata
import re

from slipway_testing.golden import REPOSITORY


def test_extras_are_pinned_with_their_packages() -> None:
    """pip looks for `coverage[toml]` apart from `coverage`: with only the latter pinned, the next release of it breaks every new environment."""
    lines = (REPOSITORY / "requirements" / "dev.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.split("==")[0] for line in lines if "==" in line}
    names = {pin.split("[")[0] for pin in pinned}
    found = set()
    for package in importlib.metadata.distributions():
        for requirement in package.requires or ():
            extras = re.match(r"([\w.-]+)\[([\w,-]+)\][^;]*$", requirement)
            if extras and _normal(package.metadata["Name"]) in names and _normal(extras[1]) in names:
                found.add(f"{_normal(extras[1])}[{extras[2]}]")
    assert found, "no package asks for another with extras: this test has lost its example"
    assert found <= pinned


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
