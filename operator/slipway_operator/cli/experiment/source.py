"""Where looks come from: a file, a ledger, or the ledger of a cluster through its API server."""

import argparse
import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from slipway_operator import errors
from slipway_operator.cli.experiment import ledger, looks
from slipway_operator.cli.experiment.looks import Recorded, Unanswerable
from slipway_operator.cluster import credentials, resources
from slipway_operator.cluster.client import ApiClient, Options
from slipway_operator.cluster.resources import Object
from slipway_operator.reconcile.experiment import plan

URL: Final = "SLIPWAY_LEDGER_URL"
TOKEN_FILE: Final = "SLIPWAY_LEDGER_TOKEN_FILE"  # noqa: S105


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose looks, and from where."""
    add_object(parser, required=False)
    parser.add_argument("--looks", metavar="FILE", help="read looks from what `slipway experiment looks` wrote, and ask nobody")
    parser.add_argument("--ledger", metavar="URL", help=f"ask this ledger and not the cluster's through the API server; ${URL} says the same")
    parser.add_argument("--token-file", metavar="FILE", help=f"a token of the ledger with the role reader; ${TOKEN_FILE} says the same")
    parser.add_argument("--uid", help="the uid of the Experiment, where it was deleted or no API server is to be asked")


def add_object(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Which Experiment, and in which cluster."""
    parser.add_argument("name", metavar="NAME", nargs=None if required else "?", help="the Experiment")
    parser.add_argument("-n", "--namespace", help="its namespace; by default that of the kubeconfig's context")
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="by default $KUBECONFIG, or ~/.kube/config")


def read(arguments: argparse.Namespace, *, environment: Mapping[str, str] = os.environ) -> tuple[Recorded, ...]:
    """All looks of the experiment that the arguments name.

    Raises:
        Unanswerable: there are none, or nobody answers.

    """
    if arguments.looks:
        return _of(arguments, looks.of_file(arguments.looks))
    if not arguments.name:
        raise Unanswerable("name an experiment (slipway experiment report NAME), or give its looks (--looks FILE)")
    try:
        return asyncio.run(_asked(arguments, environment))
    except errors.SlipwayError as error:
        raise Unanswerable(explained(error)) from error


def experiment(arguments: argparse.Namespace) -> Object:
    """The Experiment that the arguments name, as its API server has it.

    Raises:
        Unanswerable: it is not there, or nobody answers.

    """
    try:
        found = credentials.load(arguments.kubeconfig)
        return asyncio.run(_object(found, namespace=arguments.namespace or found.namespace, name=arguments.name))
    except errors.SlipwayError as error:
        raise Unanswerable(explained(error)) from error


def explained(error: errors.SlipwayError) -> str:
    """The error, and what to do."""
    match error:
        case errors.CredentialsError():
            advice = "give --kubeconfig FILE, or read looks that were fetched before with --looks FILE"
        case errors.NotFound(kind_missing=True):
            advice = "the cluster does not know Experiments: install Slipway's manifests"
        case errors.NotFound():
            advice = "look for its name with `kubectl get xp --all-namespaces`; of one that was deleted --uid finds the looks"
        case errors.Unauthorized():
            advice = "log in again: the API server does not accept these credentials"
        case errors.Forbidden():
            advice = "ask an administrator for the right to do that, or ask the ledger itself with --ledger URL --token-file FILE"
        case _:
            advice = "try again; if it stays so, ask whoever keeps the cluster"
    return f"{error}; {advice}"


def _of(arguments: argparse.Namespace, found: tuple[Recorded, ...]) -> tuple[Recorded, ...]:
    """The looks of a file, if they are what was asked for."""
    namespace, _, name = found[0].experiment.rpartition("/")
    if arguments.name not in (None, name) or arguments.namespace not in (None, namespace):
        asked = "/".join(part for part in (arguments.namespace, arguments.name) if part)
        raise Unanswerable(f"{arguments.looks} holds looks of {found[0].experiment} and not of {asked}; leave the name out, or give another file")
    return found


async def _asked(arguments: argparse.Namespace, environment: Mapping[str, str]) -> tuple[Recorded, ...]:
    url, token_file = arguments.ledger or environment.get(URL), arguments.token_file or environment.get(TOKEN_FILE)
    if url:
        namespace, name = await _known(arguments)
        return await ledger.direct(url, token_file=token_file, namespace=namespace, name=name)
    found = credentials.load(arguments.kubeconfig)
    namespace, name = await _known(arguments)
    return await ledger.through(found, namespace=namespace, name=name)


async def _known(arguments: argparse.Namespace) -> tuple[str, str]:
    """Namespace, and name at the ledger: what the arguments say, else asked for."""
    if arguments.uid and arguments.namespace:
        return arguments.namespace, plan.ledger_name(arguments.name, arguments.uid)
    found = credentials.load(arguments.kubeconfig)
    namespace = arguments.namespace or found.namespace
    if arguments.uid:
        return namespace, plan.ledger_name(arguments.name, arguments.uid)
    body = await _object(found, namespace=namespace, name=arguments.name)
    status = body.get("status") or {}
    if not status.get("ledgerName"):
        why = status.get("summary") or "no operator has looked at it yet"
        raise Unanswerable(f"{namespace}/{arguments.name} has no looks yet: {why}; follow it with slipway experiment status {arguments.name}")
    return namespace, str(status["ledgerName"])


async def _object(found: credentials.Credentials, *, namespace: str, name: str) -> Any:
    async with ApiClient(found, options=Options(user_agent="slipway", throttled_tries=2)) as client:
        return await client.get(resources.EXPERIMENTS, name, namespace=namespace)
