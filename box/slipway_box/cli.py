"""The command line of the box."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from slipway_box import clusters, environments, installation, object_store, programs, redis, resource_metrics, volumes
from slipway_box.box import Box
from slipway_box.errors import BoxError
from slipway_box.programs import PROGRAMS
from slipway_box.site import Site

_ABOUT = """A real Kubernetes cluster with KServe on one Debian 12 machine, without a container engine or a registry.
CLUSTER=kind or CLUSTER=existing sends up, down, status, load, kubeconfig and kubectl to another cluster."""


def main(arguments: Sequence[str]) -> int:
    """Run one command; the exit status."""
    given = _parser().parse_args(arguments)
    try:
        return int(given.run(given))
    except BoxError as error:
        print(f"box: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("box: interrupted; the same command continues where this one stopped.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="box", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: object, about: str, *, options: str = "-") -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=about, description=about, prefix_chars=options, add_help=bool(options.strip("\0")))
        added.set_defaults(run=run)
        return added

    command("up", _up, "bring the cluster up; again, to bring back what crashed")
    down = command("down", _down, "end the cluster and remove everything it left on the machine")
    down.add_argument("--caches", action="store_true", help="also remove built programs and images; the next `up` takes minutes")
    command("status", _status, "show every component; status 1 if one is not healthy")
    load = command("load", _load, "bring images into the cluster")
    load.add_argument("images", nargs="+", metavar="NAME_OR_ARCHIVE", help="one of Slipway's images, or a docker-archive file")
    command("install", _install, "install Slipway, with its images, and wait until operator and ledger run")
    environment = command("environment", _environment, "make the virtual environment of requirements/NAME.txt; prints its folder")
    environment.add_argument("name")
    command("kubeconfig", _kubeconfig, "print the path of an administrator's kubeconfig")
    # No character starts an option here: all of them are kubectl's.
    kubectl = command("kubectl", _kubectl, "run kubectl as administrator", options="\0")
    kubectl.add_argument("arguments", nargs=argparse.REMAINDER)
    logs = command("logs", _logs, "show the log of a component")
    logs.add_argument("component")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as it grows")
    command("build", _build, "build the programs, without starting anything")
    s3 = command("s3", _s3, "an S3 server that pods reach; prints its endpoint and keys")
    s3.add_argument("action", choices=("up", "down"))
    features = command("redis", _redis, "a Redis that pods reach, for online features; prints its address")
    features.add_argument("action", choices=("up", "down"))
    metrics = command("metrics", _metrics, "a metrics server, for autoscalers and `kubectl top`")
    metrics.add_argument("action", choices=("up", "down"))
    storage = command("volumes", _volumes, "empty the volumes whose claims are gone, and offer them again")
    storage.add_argument("action", choices=("recycle",))
    return parser


def _up(given: argparse.Namespace) -> int:
    cluster = clusters.chosen()
    cluster.up()
    print(f"The cluster is up: export KUBECONFIG={cluster.kubeconfig()}")
    return 0


def _down(given: argparse.Namespace) -> int:
    clusters.chosen().down(caches=given.caches)
    return 0


def _status(given: argparse.Namespace) -> int:
    shown, healthy = clusters.chosen().status()
    print(shown)
    return 0 if healthy else 1


def _load(given: argparse.Namespace) -> int:
    cluster = clusters.chosen()
    for image in given.images:
        print(cluster.load(image))
    return 0


def _install(given: argparse.Namespace) -> int:
    installation.install(clusters.chosen())
    return 0


def _environment(given: argparse.Namespace) -> int:
    print(environments.need(given.name))
    return 0


def _kubeconfig(given: argparse.Namespace) -> int:
    print(clusters.chosen().kubeconfig())
    return 0


def _kubectl(given: argparse.Namespace) -> int:
    command = clusters.chosen().kubectl(*given.arguments)
    os.execv(command[0], command)  # noqa: S606  (nothing is left to do here, and kubectl gets the terminal and the signals)


def _logs(given: argparse.Namespace) -> int:
    log = Box().log(given.component)
    sys.stdout.flush()
    os.execvp("tail", ["tail", "-n", "200", *(["-F"] if given.follow else []), str(log)])  # noqa: S606


def _build(given: argparse.Namespace) -> int:
    print(programs.need(*PROGRAMS).folder)
    return 0


def _s3(given: argparse.Namespace) -> int:
    return _extra(object_store.NAME, given, described=object_store.described)


def _redis(given: argparse.Namespace) -> int:
    return _extra(redis.NAME, given, described=redis.url)


def _metrics(given: argparse.Namespace) -> int:
    return _extra(resource_metrics.NAME, given)


def _extra(name: str, given: argparse.Namespace, *, described: Callable[[Site], str] | None = None) -> int:
    box = Box()
    if given.action == "down":
        box.stop(name)
        return 0
    box.start(name)
    if described:
        print(described(box.site))
    return 0


def _volumes(given: argparse.Namespace) -> int:
    box = Box()
    box.require_up()
    recycled = volumes.recycle(box.site, box.kubectl())
    print(f"recycled: {', '.join(recycled) or 'none'}")
    return 0
