"""The documentation does what it says: every block marked as runnable, page by page, as a reader would run it."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from slipway_box import environments, packages
from slipway_testing import pages
from slipway_testing.golden import REPOSITORY
from slipway_testing.kube import Kube
from slipway_testing.stage import Stage

PAGES = [page for page in (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))) if pages.blocks(page.read_text())]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The model of examples/digits, trained as `make demo` trains it."""
    folder = tmp_path_factory.mktemp("digits")
    python = environments.need("examples") / "bin/python"
    subprocess.run([python, REPOSITORY / "examples/digits/train.py", folder], check=True, capture_output=True)
    return (folder / "model.onnx").read_bytes()


@pytest.fixture
def reader(page: Path, kube: Kube, kubectl: tuple[str, ...], digits: bytes, tmp_path: Path) -> Iterator[Stage]:
    """The namespace of a page's reader, with the model in its volume as `make demo` leaves it, and the programs that pages use on PATH."""
    packages.need("curl", usual_s=5)
    stage = Stage(kube, kubectl, f"docs-{page.stem.lower()}")
    try:
        stage.set_up()
        stage.store("digits/1/model.onnx", digits)
        pages.write_tools(tmp_path, kubectl=kubectl, namespace=stage.namespace)
        yield stage
    finally:
        stage.tear_down()


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(REPOSITORY)) for page in PAGES])
def test_a_page_does_what_it_says(page: Path, reader: Stage, tmp_path: Path) -> None:
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    for block in pages.blocks(page.read_text()):
        pages.run(page, block, namespace=reader.namespace, environment=environment)


def test_there_are_pages_to_run() -> None:
    assert [page.name for page in PAGES] == ["gitops.md", "install.md", "troubleshooting.md", "modeldeployment.md"]
