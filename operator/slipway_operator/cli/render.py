"""``slipway render``: the children that a manifest would create, and how an Experiment would divide units, without a cluster."""

import argparse
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from slipway_operator import yaml_text
from slipway_operator.api import crd
from slipway_operator.api.v1alpha1.modeldeployment import DEFAULT_RUNTIME, ModelDeployment
from slipway_operator.cli import division, files, validation
from slipway_operator.cli.documents import NotYamlError
from slipway_operator.cli.files import Manifest
from slipway_operator.reconcile import modeldeployment
from slipway_operator.render import router
from slipway_operator.state.observed import Identity, Observed, Routers

DEFAULT_NAMESPACE: Final = "default"
UNKNOWN_UID: Final = "00000000-0000-0000-0000-000000000000"
"""Stands in the owner references: only a cluster gives out uids."""

ROUTER_IMAGE: Final = "slipway/router"
"""Stands for the image that the operator has from SLIPWAY_ROUTER_IMAGE."""

TRANSFORMER_IMAGE: Final = "slipway/transformer"
"""Stands for the image that the operator has from SLIPWAY_TRANSFORMER_IMAGE."""

_ANY_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)  # no child of a new object carries a time


def add_to(commands: Any) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "render",
        help="print the objects that a manifest would create",
        description="Prints, as YAML, the objects that the operator would create for each ModelDeployment in a file, as if for the first time; for"
        " each Experiment what the ledger would be told and how many of 10,000 slots each arm would have at every step.",
    )
    parser.add_argument("file", metavar="FILE", help="a YAML or JSON file, or - for standard input")
    parser.add_argument("-n", "--namespace", default=DEFAULT_NAMESPACE, help="where objects go that do not say it themselves (%(default)s)")
    parser.add_argument(
        "--runtime",
        action="append",
        default=[],
        type=_pair,
        metavar="FAMILY=NAME",
        help="the ClusterServingRuntime that a family stands for; the cluster's operator has it from SLIPWAY_RUNTIMES",
    )
    parser.set_defaults(answer=run)


def _pair(text: str) -> tuple[str, str]:
    family, _, name = text.partition("=")
    if not family or not name:
        raise argparse.ArgumentTypeError(f"{text!r}: it should be FAMILY=NAME")
    return family, name


def run(arguments: argparse.Namespace) -> int:
    """Print the children of every object of ours in the file; problems instead, and 1, when there are any."""
    try:
        manifests = [manifest for manifest in files.manifests([arguments.file]) if manifest.kind is not None]
    except NotYamlError as error:
        print(error, file=sys.stderr)
        return 1
    problems = [line for manifest in manifests for line in _problems(manifest, namespace=arguments.namespace)]
    for line in problems:
        print(line, file=sys.stderr)
    if problems:
        return 1
    documents = [document for manifest in manifests for document in _documents(manifest, arguments)]
    sys.stdout.write(yaml_text.dump_all(documents))
    return 0


def _documents(manifest: Manifest, arguments: argparse.Namespace) -> Iterable[Mapping[str, Any]]:
    if manifest.kind == crd.EXPERIMENT:
        return [division.document(manifest.body, namespace=arguments.namespace)]
    observed = first_seen(manifest.body, namespace=arguments.namespace, runtimes=dict(arguments.runtime))
    _print_note(manifest, observed)
    return modeldeployment.plan(observed).objects


def _print_note(manifest: Manifest, observed: Observed) -> None:
    """Only the cluster's operator knows the digest that a family stands for."""
    runtime = observed.spec.serving.runtime if observed.spec else DEFAULT_RUNTIME
    if runtime not in observed.runtimes:
        sentence = f"runtime {runtime} stands as it is written; --runtime {runtime}=NAME puts the name of the operator's current one there"
        print(manifest.note(sentence), file=sys.stderr)
    if observed.spec and observed.spec.traffic.router == "Dedicated":
        print(manifest.note(f"image {ROUTER_IMAGE} stands for the one that the cluster's operator has for routers"), file=sys.stderr)
    transformer = observed.spec.transformer if observed.spec else None
    if transformer and transformer.image is None:
        print(manifest.note(f"image {TRANSFORMER_IMAGE} stands for the one that the cluster's operator has for transformers"), file=sys.stderr)


def _problems(manifest: Manifest, *, namespace: str) -> list[str]:
    if manifest.body.get("metadata", {}).get("generateName") and not manifest.body["metadata"].get("name"):
        return [manifest.note("metadata.name: Required value: its children are named after it, and a generated name is not known yet")]
    return [manifest.sentence(problem) for problem in manifest.problems(namespace=namespace)]


def first_seen(body: Mapping[str, Any], *, namespace: str, runtimes: Mapping[str, str]) -> Observed:
    """What the operator would observe of ``body`` when it was just created."""
    metadata = body["metadata"]
    identity = Identity(name=metadata["name"], namespace=metadata.get("namespace") or namespace, uid=UNKNOWN_UID, generation=1)
    parsed = ModelDeployment.model_validate(validation.fields(body))
    own = parsed.spec.traffic.router == "Dedicated"
    routers = Routers(name=router.dedicated_name(identity.name) if own else router.SHARED, addressed=True, image=ROUTER_IMAGE)
    return Observed(identity=identity, spec=parsed.spec, runtimes=runtimes, transformer_image=TRANSFORMER_IMAGE, routers=routers, now=_ANY_TIME)
