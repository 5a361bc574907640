"""Slipway onto a cluster, as the install guide does it by hand."""

from slipway_box import machine
from slipway_box.clusters import Cluster
from slipway_box.errors import BoxError
from slipway_box.layout import REPOSITORY
from slipway_box.loading import LOADED
from slipway_box.progress import step

OVERLAY = REPOSITORY / "kustomize/overlays/box"
IMAGES = ("operator", "router", "transformer", "triton-cpu")
_DEPLOYMENT = "deployment/slipway-operator"
_NAMESPACE = "--namespace=slipway-system"


def install(cluster: Cluster) -> None:
    """Bring the images in, apply the manifests, wait for the operator.

    The tag of an image stays the same while its content changes here, so a running operator is restarted when a new one came in.
    Raises BoxError with the pod's own words when the operator does not get up.
    """
    changed = [image for image in IMAGES if cluster.load(image).endswith(LOADED)]
    with step("installing Slipway", usual_s=10):
        applied = machine.run(*cluster.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(OVERLAY)))
        machine.run(*cluster.kubectl("wait", "--for=condition=Established", "crd/modeldeployments.slipway.dev", "--timeout=30s"))
        if "operator" in changed and "deployment.apps/slipway-operator serverside-applied" in applied:
            machine.run(*cluster.kubectl("rollout", "restart", _DEPLOYMENT, _NAMESPACE))
        _wait(cluster)


def _wait(cluster: Cluster) -> None:
    try:
        machine.run(*cluster.kubectl("rollout", "status", _DEPLOYMENT, _NAMESPACE, "--timeout=120s"))
    except BoxError as error:
        said = machine.run(*cluster.kubectl("logs", _DEPLOYMENT, _NAMESPACE, "--tail=5"))
        raise BoxError(f"The operator does not get up: see `box kubectl describe pods {_NAMESPACE}`. Its last lines:\n{said}") from error
