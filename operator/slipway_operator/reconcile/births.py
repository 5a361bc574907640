"""The revision that a spec asks for: recorded already, or new."""

from slipway_operator.api.v1alpha1.modeldeployment import ModelDeploymentSpec
from slipway_operator.render import revision as revision_objects
from slipway_operator.state.observed import Observed
from slipway_operator.state.revision import Revision, revision_name


def revision_of(observed: Observed, spec: ModelDeploymentSpec, *, born_before: int = 0) -> Revision:
    """The revision of ``spec``; a new one is numbered after all that are recorded and ``born_before`` others of this pass.

    One whose record somebody deleted gets back the runtime that the status remembers.
    """
    owner = observed.identity
    name = revision_name(spec, owner=owner.name)
    if (recorded := observed.revision(name)) is not None:
        return recorded
    remembered = next((entry.runtime for entry in observed.status.revisions if entry.name == name), None)
    runtime = remembered or observed.runtimes.get(spec.serving.runtime, spec.serving.runtime)
    number = max((revision.number for revision in observed.revisions), default=0) + 1 + born_before
    made = Revision.of(spec, owner=owner.name, number=number, runtime=runtime, transformer_image=observed.transformer_image)
    return revision_objects.born(made, owner=owner)
