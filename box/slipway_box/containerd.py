"""containerd: runs the pods. Debian's, with folders, socket and configuration of the box's own."""

from pathlib import Path

from slipway_box.component import Component
from slipway_box.probe import UnixSocket
from slipway_box.site import Site

NAME = "containerd"
PROGRAM = "/usr/bin/containerd"
SHIM = "containerd-shim-runc-v2"


def socket(site: Site) -> Path:
    """Where containerd listens."""
    return site.run / "containerd" / "containerd.sock"


def component(site: Site, *, sandbox_image: str) -> Component:
    """containerd with ``sandbox_image`` as the container that holds a pod's network open."""
    text = configuration(site, sandbox_image=sandbox_image)
    path = site.state / "containerd.toml"
    return Component(name=NAME, argv=(PROGRAM, f"--config={path}"), probe=UnixSocket(socket(site)), files={path: text})


def configuration(site: Site, *, sandbox_image: str) -> str:
    """The configuration file, in TOML.

    restrict_oom_score_adj: a machine without CAP_SYS_RESOURCE cannot lower a process's OOM score, and without this line every
    sandbox there dies with "can't get final child's PID from pipe: EOF".
    netns_mounts_under_state_dir: network namespaces in our own folder can be removed without touching anybody else's.
    """
    return f"""\
version = 2
root = "{site.state}/containerd"
state = "{site.run}/containerd"
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp",
]

[grpc]
address = "{socket(site)}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{sandbox_image}"
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
stream_server_address = "127.0.0.1"

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{site.state}/cni"

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
Root = "{site.run}/runc"
"""
