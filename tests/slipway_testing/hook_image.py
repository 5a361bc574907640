"""An image with hooks, built from the transformer's as a user builds one."""

from pathlib import Path

from slipway_box import buildah, images
from slipway_box.box import Box

NAME = "e2e/hooks:1"


def load(module: str, source: str, folder: Path) -> str:
    """Build it and bring it into the cluster; its name."""
    (folder / f"{module}.py").write_text(source)
    dockerfile = folder / "Dockerfile"
    dockerfile.write_text(f"FROM docker-archive:{images.archive('transformer')}\nCOPY {module}.py /opt/slipway/\n")
    built = buildah.build(dockerfile, context=folder, log=folder / "build.log")
    buildah.export(built, name=NAME, to=folder / "hooks.tar")
    Box().load(str(folder / "hooks.tar"))
    return NAME
