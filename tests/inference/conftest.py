"""A model, and a transformer in front of it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from inference.harness import Model, Transformer, configuration

Start = Callable[..., Transformer]


@pytest.fixture
def model() -> Iterator[Model]:
    """Running."""
    with Model() as running:
        yield running


@pytest.fixture
def start(model: Model, tmp_path: Path) -> Iterator[Start]:
    """Starts a transformer: settings by keyword, changes of the configuration as ``chosen``."""
    with ExitStack() as running:

        def started(chosen: dict[str, Any] | None = None, **settings: object) -> Transformer:
            return running.enter_context(Transformer(tmp_path, model.port, configuration(**(chosen or {})), **settings))

        yield started
