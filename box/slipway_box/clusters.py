"""The clusters that the same commands work on; $CLUSTER names one, and nothing ever chooses for the user."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from slipway_box import on_box, on_existing, on_kind
from slipway_box.errors import BoxError

VARIABLE = "CLUSTER"


class Cluster(Protocol):
    """What every kind of cluster can be asked for."""

    def up(self) -> None:
        """Bring it up, or check that it is."""

    def down(self, *, caches: bool) -> None:
        """Take it away; with ``caches`` also what was built for it."""

    def status(self) -> tuple[str, bool]:
        """What there is to see, and whether all of it is well."""

    def load(self, wanted: str) -> str:
        """Bring an image in, by one of Slipway's names or by archive file; what was done, in a line."""

    def kubeconfig(self) -> Path:
        """The kubeconfig of its administrator."""

    def kubectl(self, *arguments: str) -> list[str]:
        """The command line of a kubectl that speaks to it."""


def chosen(environment: Mapping[str, str] = os.environ) -> Cluster:
    """The cluster that $CLUSTER names; the box when it is not set.

    Raises BoxError for any other value.
    """
    name = environment.get(VARIABLE) or "box"
    if name == "box":
        return on_box.OnBox()
    if name == "kind":
        return on_kind.OnKind()
    if name == "existing":
        return on_existing.OnExisting()
    raise BoxError(f"{VARIABLE}={name} names no cluster: it is box (the default), kind or existing.")
