"""Slipway onto a cluster, as the install guide does it by hand."""

from slipway_box import machine
from slipway_box.clusters import Cluster
from slipway_box.errors import BoxError
from slipway_box.layout import REPOSITORY
from slipway_box.loading import LOADED
from slipway_box.progress import step

OVERLAY = REPOSITORY / "kustomize/overlays/box"
IMAGES = ("operator", "router", "transformer", "ledger", "triton-cpu")
WORKLOADS = {"operator": "deployment.apps/slipway-operator", "ledger": "statefulset.apps/slipway-ledger"}
"""What runs in Slipway's own namespace, by image."""
_NAMESPACE = "--namespace=slipway-system"


def install(cluster: Cluster) -> None:
    """Bring the images in, apply the manifests, wait for the operator and the ledger.

    The tag of an image stays the same while its content changes here, so what runs already is restarted when a new one came in.
    Raises BoxError with the pod's own words when one of them does not get up.
    """
    changed = [image for image in IMAGES if cluster.load(image).endswith(LOADED)]
    with step("installing Slipway", usual_s=15):
        applied = machine.run(*cluster.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(OVERLAY)))
        machine.run(*cluster.kubectl("wait", "--for=condition=Established", "crd/modeldeployments.slipway.dev", "--timeout=30s"))
        for image, workload in WORKLOADS.items():
            if image in changed and f"{workload} serverside-applied" in applied:
                machine.run(*cluster.kubectl("rollout", "restart", workload, _NAMESPACE))
        for image, workload in WORKLOADS.items():
            _wait(cluster, image, workload)


def _wait(cluster: Cluster, image: str, workload: str) -> None:
    try:
        machine.run(*cluster.kubectl("rollout", "status", workload, _NAMESPACE, "--timeout=120s"))
    except BoxError as error:
        said = machine.run(*cluster.kubectl("logs", workload, _NAMESPACE, "--tail=5"))
        raise BoxError(f"The {image} does not get up: see `box kubectl describe pods {_NAMESPACE}`. Its last lines:\n{said}") from error
