"""The configuration of nginx: a template and a few settings. What changes while it runs is in tables instead, and needs no reload."""

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
LUA = HERE.parent / "lua"

DEBIAN_MODULES = ("ndk_http_module.so", "ngx_http_lua_module.so")
"""Debian builds the Lua module apart; OpenResty has it within."""

FAILING = {
    "plain": "",
    "response": "proxy_intercept_errors on;",
    "revision": "proxy_intercept_errors on; proxy_next_upstream error timeout http_500 http_502 http_503 http_504 non_idempotent;",
}
"""What each location does when a pod fails: passes its answer on; gives the fixed answer; asks the fallback revision."""


@dataclass(frozen=True)
class Settings:
    """What differs between a pod, a test and a benchmark."""

    run: str = "/run/slipway"
    """Folder of the pid file, the control socket, the agent's socket and the mark that says that this router drains."""
    temporary: str = "/tmp"  # noqa: S108 - an emptyDir of the container's own
    """Folder of bodies that do not fit into memory."""
    tokens: str = "/etc/slipway/tokens"
    lua: str = str(LUA)
    modules: tuple[str, ...] = tuple(f"/usr/lib/nginx/modules/{name}" for name in DEBIAN_MODULES)
    """Modules to load; none for OpenResty."""
    http: str = "8080"
    """Address or port of the Open Inference Protocol over HTTP/1.1."""
    grpc: str = "9000"
    pod_http_port: int = 8080
    pod_grpc_port: int = 9000
    workers: int = 1
    """nginx's processes; each takes a core."""
    connections: int = 16384
    """Most that a worker holds open, clients' and pods' together."""
    client_timeout_s: int = 10
    """How long a client may take for its headers, and between two pieces of its body."""
    body_bytes: int = 1 << 30
    """The largest body that any table can allow; each has its own limit below it."""
    error_log: str = "stderr warn"
    birth: str = "0"
    """Tells this start of this pod from every other in request ids."""


def render(settings: Settings) -> str:
    """The text of nginx.conf."""
    text = (HERE / "nginx.conf.template").read_text(encoding="utf-8")
    values = {
        "modules": "".join(f"load_module {module};\n" for module in settings.modules),
        "named_locations": "".join(_location(name, closing=closing) for closing in (False, True) for name in FAILING),
    }
    for name, value in {**vars(settings), **values}.items():
        text = text.replace("{{" + name + "}}", str(value))
    return text


def _location(name: str, *, closing: bool) -> str:
    lines = [
        f"location @{'closing_' if closing else ''}{name} {{",
        "    keepalive_timeout 0;" if closing else "",
        f"    {FAILING[name]}" if FAILING[name] else "",
        "    error_page 500 502 503 504 /_slipway/failed;" if FAILING[name] else "",
        "    body_filter_by_lua_block { slipway.body_filter() }",
        "    proxy_pass http://pods;",
        "}",
    ]
    return "".join(f"        {line}\n" for line in lines if line)
