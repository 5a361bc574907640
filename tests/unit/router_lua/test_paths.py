from collections.abc import Callable
from typing import Any

import pytest

Module = Callable[[str], Any]
SERVICE = b"/inference.GRPCInferenceService/"


def described(found: Any) -> tuple[str, str | None] | None:
    return (found.kind.decode(), found.model and found.model.decode()) if found else None


@pytest.mark.parametrize(
    ("path", "asks"),
    [
        (b"/v2", ("server", None)),
        (b"/v2/health/live", ("live", None)),
        (b"/v2/health/ready", ("ready", None)),
        (b"/v2/models/ranker", ("metadata", "ranker")),
        (b"/v2/models/ranker/ready", ("metadata", "ranker")),
        (b"/v2/models/ranker/config", ("metadata", "ranker")),
        (b"/v2/models/ranker/stats", ("metadata", "ranker")),
        (b"/v2/models/ranker/infer", ("infer", "ranker")),
        (b"/v2/models/ranker/versions/3", ("metadata", "ranker")),
        (b"/v2/models/ranker/versions/3/infer", ("infer", "ranker")),
        (SERVICE + b"ModelInfer", ("infer", None)),
        (SERVICE + b"ModelStreamInfer", ("stream", None)),
        (SERVICE + b"ServerReady", ("ready", None)),
    ],
)
def test_what_is_served(module: Module, path: bytes, asks: tuple[str, str | None]) -> None:
    paths = module("paths")
    assert [described(paths.read(path)) for _ in range(2)] == [asks, asks]


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"/",
        b"/v2/",
        b"/v2/health",
        b"/v2/models",
        b"/v2/models/",
        b"/v2/models/ranker/",
        b"/v2/models/ranker/infer/",
        b"/v2/models/ranker/versions/x/infer",
        b"/v2/models/ranker/versions/1/versions/2/infer",
        b"/v2/models/a b/infer",
        b"/v2/repository/index",
        b"/v2/repository/models/ranker/unload",
        b"/v2/systemsharedmemory/status",
        b"/v2/cudasharedmemory/region/x/register",
        b"/v2/trace/setting",
        b"/v2/logging",
        b"/v2/models/ranker/trace/setting",
        b"/metrics",
        b"/_slipway/failed",
        SERVICE + b"RepositoryModelUnload",
        SERVICE + b"SystemSharedMemoryRegister",
        SERVICE + b"LogSettings",
        b"/inference.Other/ModelInfer",
    ],
)
def test_what_is_not(module: Module, path: bytes) -> None:
    assert module("paths").read(path) is False


def test_many_paths_are_not_remembered_for_ever(module: Module) -> None:
    paths = module("paths")
    for number in range(5000):
        assert paths.read(b"/v2/models/m%d/infer" % number).model == b"m%d" % number
    assert described(paths.read(b"/v2")) == ("server", None)
