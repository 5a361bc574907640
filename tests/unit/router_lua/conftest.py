"""The Lua modules that need no nginx, in LuaJIT as nginx has it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from lupa import luajit21  # type: ignore[import-untyped]

from slipway_router.nginx import configuration

PLAIN = "function(name) return require('slipway.' .. name) end"


@pytest.fixture
def lua() -> Any:
    """LuaJIT that finds the modules; strings are bytes on either side."""
    runtime = luajit21.LuaRuntime(encoding=None)
    runtime.execute(f"package.path = '{configuration.LUA}/?.lua;' .. package.path".encode())
    runtime.globals()[b"encoded"] = lambda text: json.dumps(text.decode()).encode()
    runtime.execute(b"package.preload['cjson.safe'] = function() return {encode = encoded} end")
    return runtime


@pytest.fixture
def module(lua: Any) -> Callable[[str], Any]:
    """Reads a module by its name."""
    require = lua.eval(PLAIN.encode())

    def read(name: str) -> Any:
        return require(name.encode())

    return read
