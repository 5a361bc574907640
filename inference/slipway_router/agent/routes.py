"""What nginx should have: the last good table of each model, and the ready pods of every revision that a table names."""

import logging
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field

from slipway_router.agent import endpoints
from slipway_router.agent.api import Object
from slipway_router.agent.endpoints import Slice
from slipway_router.agent.table import Refused, Table

KEY = "routes.json"
_SUFFIX = "-routes"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """Everything that nginx should have at one moment."""

    tables: Mapping[str, Table] = field(default_factory=dict)
    pods: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def named(self) -> Set[tuple[str, str]]:
        """(model, revision) for every revision that a table names, and (model, "") for every model."""
        return {(model, revision) for model, table in self.tables.items() for revision in ("", *table.revisions)}


def read(obj: Object) -> str:
    """What is kept of a ConfigMap: the text of its table, empty where it has none."""
    return str((obj.get("data") or {}).get(KEY) or "")


class Routes:
    """Takes what was read from the API server, or from the file of a former life; tells ``on_change`` that something moved."""

    def __init__(self, *, namespace: str, on_change: Callable[[], None]) -> None:
        self._namespace = namespace
        self._on_change = on_change
        self._wanted: Wanted | None = Wanted()
        """None: it has to be made anew."""
        self._tables: dict[str, Table] = {}
        self._slices: dict[str, Slice] = {}
        self._restored_pods: Mapping[str, tuple[str, ...]] | None = None
        self.refusals: dict[str, int] = {}
        """How many tables of a model were refused; those of models that are gone are forgotten."""

    def restore(self, texts: Mapping[str, str], pods: Mapping[str, tuple[str, ...]]) -> None:
        """Take what nginx had in a former life: good until the API server tells better. Tables that are no good any more are left out."""
        for model, text in texts.items():
            try:
                self._tables[model] = Table.parse(text, namespace=self._namespace, model=model)
            except Refused as refused:
                _log.warning("the table of %s in the file is not used: %s", model, refused)
        self._restored_pods = pods
        self._changed()

    def table_changed(self, name: str, text: str | None) -> None:
        """ConfigMap ``name`` holds ``text`` now, or is gone. A text that is no good table leaves the last good one in place."""
        model = name.removesuffix(_SUFFIX)
        if text is None:
            self._tables.pop(model, None)
            self.refusals.pop(model, None)
            _log.info("the table of %s is gone", model)
        else:
            self._take(name, model, text)
        self._changed()

    def tables_listed(self, names: Iterable[str]) -> None:
        """The ConfigMaps that there are: a restored table without one goes."""
        models = {name.removesuffix(_SUFFIX) for name in names}
        for model in [model for model in self._tables if model not in models]:
            del self._tables[model]
        self._changed()

    def slice_changed(self, name: str, found: Slice | None) -> None:
        """EndpointSlice ``name`` says ``found`` now, or is gone."""
        if found is None:
            self._slices.pop(name, None)
        else:
            self._slices[name] = found
        self._changed()

    def slices_listed(self) -> None:
        """All EndpointSlices have been told: restored pods are forgotten."""
        self._restored_pods = None
        self._changed()

    def refuse(self, table: Table, why: str) -> None:
        """Nginx did not take a table that looked good."""
        self._count_refusal(table.model, why)

    def wanted(self) -> Wanted:
        """What nginx should have now."""
        if self._wanted is None:
            self._wanted = self._made()
        return self._wanted

    def _made(self) -> Wanted:
        revisions = {revision for table in self._tables.values() for revision in table.revisions}
        if self._restored_pods is None:
            return Wanted(dict(self._tables), endpoints.pods(self._slices.values(), revisions=revisions))
        return Wanted(dict(self._tables), {revision: self._restored_pods.get(revision, ()) for revision in revisions})

    def _changed(self) -> None:
        self._wanted = None
        self._on_change()

    def _take(self, name: str, model: str, text: str) -> None:
        try:
            if not name.endswith(_SUFFIX) or not model:
                raise Refused(f"ConfigMap {name} should be named <ModelDeployment>{_SUFFIX}")
            table = Table.parse(text, namespace=self._namespace, model=model)
        except Refused as refused:
            self._count_refusal(model, str(refused))
        else:
            self._tables[model] = table
            _log.info("the table of %s is of epoch %d now, digest %s", model, table.epoch, table.digest)

    def _count_refusal(self, model: str, why: str) -> None:
        kept = self._tables.get(model)
        self.refusals[model] = self.refusals.get(model, 0) + 1
        stays = f"that of epoch {kept.epoch} stays" if kept else "there is none to keep"
        _log.error("the table of %s in namespace %s is refused, %s: %s", model, self._namespace, stays, why)
