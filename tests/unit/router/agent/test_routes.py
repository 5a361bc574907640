"""What nginx should have, out of what was read from the API server and what a former life has left."""

import pytest

from slipway_router.agent.endpoints import Slice
from slipway_router.agent.routes import Routes, read
from slipway_router.agent.table import Table
from slipway_testing.fake_nginx import routes_json

STABLE, CANDIDATE = "ranker-0a1b2c3d", "ranker-9f8e7d6c"


def table(model: str = "ranker", *, epoch: int = 7) -> Table:
    return Table.parse(routes_json(model, epoch=epoch), namespace="shop", model=model)


@pytest.fixture
def changes() -> list[None]:
    """One entry for each time that something moved."""
    return []


@pytest.fixture
def routes(changes: list[None]) -> Routes:
    return Routes(namespace="shop", on_change=lambda: changes.append(None))


def test_tables_and_the_pods_of_all_revisions_that_they_name(routes: Routes, changes: list[None]) -> None:
    routes.table_changed("ranker-routes", routes_json(shadow={"revision": "ranker-7", "percent": "1"}, fallback={"revision": "ranker-5"}))
    routes.slice_changed("x", Slice(STABLE, "IPv4", ("10.88.0.7",)))
    routes.slice_changed("y", Slice("digits-1", "IPv4", ("10.88.0.8",)))
    assert routes.wanted().pods == {STABLE: ("10.88.0.7",), CANDIDATE: (), "ranker-7": (), "ranker-5": ()}
    assert routes.wanted().named() == {("ranker", ""), *(("ranker", revision) for revision in (STABLE, CANDIDATE, "ranker-7", "ranker-5"))}
    assert len(changes) == 3
    routes.slice_changed("x", None)
    routes.table_changed("ranker-routes", routes_json())
    assert routes.wanted().pods == {STABLE: (), CANDIDATE: ()}
    routes.table_changed("ranker-routes", None)
    assert (routes.wanted().tables, routes.wanted().pods) == ({}, {})
    assert len(changes) == 6


def test_what_a_former_life_had_is_good_until_the_server_has_told_everything(routes: Routes) -> None:
    pods = {STABLE: ("10.88.0.7",), "gone-1": ("10.88.0.9",)}
    routes.restore({"ranker": table().text, "digits": table("digits").text, "broken": "{}"}, pods)
    assert routes.wanted().tables == {"ranker": table(), "digits": table("digits")}
    assert routes.wanted().pods[STABLE] == ("10.88.0.7",)
    routes.table_changed("ranker-routes", table(epoch=8).text)
    routes.tables_listed(["ranker-routes"])
    assert routes.wanted().tables == {"ranker": table(epoch=8)}
    assert routes.wanted().pods == {STABLE: ("10.88.0.7",), CANDIDATE: ()}
    routes.slice_changed("x", Slice(CANDIDATE, "IPv4", ("10.88.0.8",)))
    routes.slices_listed()
    assert routes.wanted().pods == {STABLE: (), CANDIDATE: ("10.88.0.8",)}


def test_a_bad_table_leaves_the_restored_one_in_place(routes: Routes) -> None:
    routes.restore({"ranker": table().text}, {})
    routes.table_changed("ranker-routes", "{}")
    routes.tables_listed(["ranker-routes"])
    assert routes.wanted().tables == {"ranker": table()}
    assert routes.refusals == {"ranker": 1}


def test_refusals_are_counted_and_forgotten_with_their_model(routes: Routes, caplog: pytest.LogCaptureFixture) -> None:
    routes.table_changed("ranker-routes", "{}")
    routes.table_changed("ranker-routes", routes_json("digits"))
    routes.refuse(table(), "no room")
    routes.table_changed("strange", routes_json("strange"))
    assert routes.refusals == {"ranker": 3, "strange": 1}
    assert routes.wanted().tables == {}
    assert "there is none to keep" in caplog.text
    assert "should be named <ModelDeployment>-routes" in caplog.text
    routes.table_changed("ranker-routes", None)
    assert routes.refusals == {"strange": 1}


def test_a_config_map_without_a_table_has_an_empty_one() -> None:
    assert read({"metadata": {}, "data": {"routes.json": "x"}}) == "x"
    assert read({"metadata": {}, "data": {"other": "x"}}) == ""
    assert read({"metadata": {}}) == ""
