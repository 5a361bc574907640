"""CLUSTER=box: the cluster on this machine."""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from slipway_box import images, layout, preflight, status
from slipway_box.box import Box
from slipway_box.errors import BoxError


@dataclass(frozen=True)
class OnBox:
    """The full box."""

    box: Box = field(default_factory=Box)

    def up(self) -> None:
        """Bring it up, or back to what it should be."""
        self.box.up()

    def down(self, *, caches: bool) -> None:
        """Take it away, and say what could not be taken away."""
        left = self.box.down()
        if caches:
            images.clean()
            shutil.rmtree(layout.cache(), ignore_errors=True)
        if left:
            raise BoxError("The box is down, but not without a trace: " + "; ".join(left) + ".")

    def status(self) -> tuple[str, bool]:
        """A row a component."""
        preflight.require_root(os.geteuid())
        rows = self.box.rows()
        if not rows:
            return "The box is down: start it with `box up`.", False
        return status.table(rows), all(row.healthy for row in rows)

    def load(self, wanted: str) -> str:
        """Into containerd."""
        return self.box.load(wanted)

    def kubeconfig(self) -> Path:
        """The administrator's."""
        self.box.require_up()
        return self.box.site.identities.admin_kubeconfig()

    def kubectl(self, *arguments: str) -> list[str]:
        """The built kubectl."""
        self.box.require_up()
        return self.box.kubectl().command(*arguments)
