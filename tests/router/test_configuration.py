"""The configuration that nginx is given."""

import os
import subprocess
from pathlib import Path
from typing import Any

from router.harness import USER
from slipway_router.nginx.configuration import Settings, render
from slipway_testing import golden


def test_the_configuration_is_the_golden_one() -> None:
    golden.check("router/nginx.conf", render(Settings(lua="/opt/lua", birth="0123456789ab")))


def test_nothing_is_left_of_the_template() -> None:
    assert "{{" not in render(Settings())


def test_without_modules_nothing_is_loaded() -> None:
    """OpenResty has Lua within."""
    assert "load_module" not in render(Settings(modules=()))


def test_nginx_takes_it_as_the_user_of_the_image(folder: Path) -> None:
    settings = Settings(run=str(folder), temporary=str(folder), tokens=str(folder), http="127.0.0.1:18080", grpc="127.0.0.1:19000")
    (folder / "nginx.conf").write_text(render(settings))
    who: dict[str, Any] = {"user": USER, "group": USER, "extra_groups": []} if os.getuid() == 0 else {}
    command = ["nginx", "-t", "-e", "stderr", "-c", str(folder / "nginx.conf")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **who)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr
