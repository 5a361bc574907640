"""The ConfigMap that carries a route table to the routers."""

from typing import Any, Final

from slipway_operator.api import metadata
from slipway_operator.render import owned, router
from slipway_operator.state.observed import Identity
from slipway_operator.state.routes import RouteTable

KEY: Final = "routes.json"


def table_name(modeldeployment: str) -> str:
    """``<modeldeployment>-routes``: no revision is named so, for their names end in eight hexadecimal digits."""
    return f"{modeldeployment}-routes"


def config_map(table: RouteTable, *, owner: Identity, dedicated: str | None) -> dict[str, Any]:
    """The table, for the shared router and, where there is one, that of its own."""
    labels = {metadata.ROUTER_LABEL: router.SHARED} | ({metadata.DEDICATED_ROUTER_LABEL: dedicated} if dedicated else {})
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": owned.child_metadata(owner, name=table_name(owner.name), labels=labels),
        "data": {KEY: table.text()},
    }
