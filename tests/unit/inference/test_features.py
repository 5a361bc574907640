"""Rows of a store become columns of an input; what is missing, stale or away is as the configuration says."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from slipway_features import keys
from slipway_features.blob import Writer
from slipway_features.schema import Schema
from slipway_inference.features import Features
from slipway_inference.meters import Meters
from slipway_inference.store import Unavailable
from slipway_testing.inference import Said, Stage, asked, configured, given, tensor

NOW = 1_800_000_000.0
USERS = Schema.of([("age", "int64"), ("ctr", "float32")], ttl_s=60)
ITEMS = Schema.of([("rank", "float64")])


class Shelf:
    """A store of a dict."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.asked: list[list[bytes]] = []
        self.away = False
        self.open: asyncio.Event | None = None

    def put(self, view: str, schema: Schema, key: Mapping[str, keys.JoinValue], *, age_s: float = 0, **values: object) -> None:
        """Write a row and its schema."""
        self.rows[keys.schema_key("shop", view)] = schema.json()
        self.rows[keys.row_key("shop", view, key)] = Writer(schema).row(values, int((NOW - age_s) * 1e6))

    async def get(self, wanted: Sequence[bytes]) -> list[bytes | None]:
        """As ``Store`` has it."""
        self.asked.append(list(wanted))
        if self.open:
            await self.open.wait()
        if self.away:
            raise Unavailable("it is away")
        return [self.rows.get(key) for key in wanted]

    async def ping(self) -> None:
        """As ``Store`` has it."""
        if self.away:
            raise Unavailable("it is away")


@pytest.fixture
def shelf() -> Shelf:
    """A user and two items."""
    made = Shelf()
    made.put("users", USERS, {"user": 7}, age=40, ctr=0.5)
    made.put("items", ITEMS, {"item": "a"}, rank=1.0)
    made.put("items", ITEMS, {"item": "b"}, rank=2.0)
    return made


class Shop(Stage):
    """A model of ctr, age, rank, price."""

    def __init__(self, shelf: Shelf, **changes: Any) -> None:
        self.now = NOW
        views = {"users": "user", "items": "item"}
        chosen = configured(
            request=[tensor("user", "INT64", 1), tensor("item", "BYTES", 1), tensor("price", "FP64", 1)],
            features={
                "redis": "redis://store",
                "project": "shop",
                "into": "x",
                "columns": [
                    {"view": "users", "feature": "ctr"},
                    {"view": "users", "feature": "age"},
                    {"view": "items", "feature": "rank"},
                    {"input": "price"},
                ],
                "entities": [{"view": view, "keys": [{"name": key, "input": key}]} for view, key in views.items()],
                "default": "-1",
            }
            | changes,
        )
        counts = Meters()
        self.features = Features(chosen, store=shelf, counted=counts.feature, clock=lambda: self.now)
        super().__init__(features=self.features, chosen=chosen)
        self.meters = counts

    async def of(self, user: object = 7, *items: str, price: float = 8) -> Said:
        """Ask for a user and items."""
        rows = items or ("a",)
        return await self.ask(
            asked(
                given("user", "INT64", [len(rows), 1], [user] * len(rows)),
                given("item", "BYTES", [len(rows), 1], rows),
                given("price", "FP64", [len(rows), 1], [price] * len(rows)),
            )
        )

    @property
    def seen(self) -> list[list[float]]:
        """What the model was last asked."""
        found: list[list[float]] = self.model.calls[-1]["x"].tolist()
        return found


async def test_rows_become_columns_in_their_order(shelf: Shelf) -> None:
    shop = Shop(shelf)
    await shop.of(7, "b", "a", "b")
    assert shop.seen == [[0.5, 40, 2, 8], [0.5, 40, 1, 8], [0.5, 40, 2, 8]]


async def test_a_request_is_one_question_with_each_key_once(shelf: Shelf) -> None:
    shop = Shop(shelf)
    await shop.of(7, "b", "a", "b")
    await shop.of(7, "a")
    row = keys.row_key("shop", "users", {"user": 7})
    assert shelf.asked[0] == [keys.schema_key("shop", "users"), keys.schema_key("shop", "items")]
    assert shelf.asked[1:] == [
        [row, keys.row_key("shop", "items", {"item": "b"}), keys.row_key("shop", "items", {"item": "a"})],
        [row, *shelf.asked[2][1:]],
    ]


async def test_what_is_missing_is_the_default(shelf: Shelf) -> None:
    shop = Shop(shelf)
    await shop.of(9, "a", "z")
    assert shop.seen == [[-1, -1, 1, 8], [-1, -1, -1, 8]]
    assert shop.meters.features == {("users", "missing"): 1, ("items", "missing"): 1}


async def test_what_is_missing_is_nan(shelf: Shelf) -> None:
    shop = Shop(shelf, onMissing="Null")
    await shop.of(9)
    np.testing.assert_array_equal(shop.seen, [[np.nan, np.nan, 1, 8]])


async def test_what_is_missing_is_refused(shelf: Shelf) -> None:
    said = (await Shop(shelf, onMissing="Reject").of(9)).json
    assert said == {"error": "feature ctr of users is missing", "input": "user", "reason": "missing"}


@pytest.mark.parametrize(("on_missing", "seen"), [("Default", -1.0), ("Null", np.nan)])
async def test_a_null_in_a_row_is_missing_alone(shelf: Shelf, on_missing: str, seen: float) -> None:
    shelf.put("users", USERS, {"user": 7}, age=None, ctr=0.5)
    shop = Shop(shelf, onMissing=on_missing)
    await shop.of()
    np.testing.assert_array_equal(shop.seen, [[0.5, seen, 1, 8]])


async def test_a_null_in_a_row_is_refused(shelf: Shelf) -> None:
    shelf.put("users", USERS, {"user": 7}, age=None, ctr=0.5)
    said = await Shop(shelf, onMissing="Reject").of()
    assert (said.status, said.json["reason"], said.json["error"]) == (422, "null", "feature age of users is null")


async def test_a_row_older_than_its_ttl_is_missing(shelf: Shelf) -> None:
    shelf.put("users", USERS, {"user": 7}, age_s=61, age=40, ctr=0.5)
    shop = Shop(shelf)
    await shop.of()
    assert (shop.seen[0][:2], shop.meters.features) == ([-1, -1], {("users", "expired"): 1})


async def test_a_row_of_another_schema_is_stale_until_the_schema_is_read_again(shelf: Shelf) -> None:
    shop = Shop(shelf)
    await shop.of()
    shelf.put("users", Schema.of([("age", "int64"), ("ctr", "float32"), ("more", "bool")]), {"user": 7}, age=41, ctr=0.25, more=True)
    shop.now += 1
    await shop.of()
    assert (shop.seen[0][:2], shop.meters.features) == ([-1, -1], {("users", "stale"): 1})
    shop.now += 5
    await shop.of()
    await shop.of()
    assert shop.seen[0][:2] == [0.25, 41]


async def test_a_schema_without_a_feature_is_as_if_the_store_were_away(shelf: Shelf) -> None:
    shelf.put("users", Schema.of([("age", "int64")]), {"user": 7}, age=40)
    said = await Shop(shelf).of()
    assert (said.status, said.json["reason"]) == (503, "store")
    assert "its view users is not what the configuration says: ctr: the schema has no such columns" in said.json["error"]


async def test_a_feature_of_text_is_told(shelf: Shelf) -> None:
    shelf.put("users", Schema.of([("age", "int64"), ("ctr", "string")]), {"user": 7}, age=40, ctr="a")
    assert "ctr is string, which is no number" in (await Shop(shelf).of()).json["error"]


async def test_a_view_that_nobody_applied_is_told(shelf: Shelf) -> None:
    del shelf.rows[keys.schema_key("shop", "items")]
    assert "it has no view items of project shop: run feast apply" in (await Shop(shelf).of()).json["error"]


async def test_a_store_that_is_away_is_503_and_not_ready(shelf: Shelf) -> None:
    shelf.away = True
    shop = Shop(shelf)
    said = await shop.of()
    assert (said.status, said.json["error"], said.headers["retry-after"]) == (503, "the online store is not there: it is away", "1")
    assert await shop.features.trouble() == "it is away"
    shelf.away = False
    assert await shop.features.trouble() is None


async def test_who_was_ready_is_not_without_the_store(shelf: Shelf) -> None:
    shop = Shop(shelf)
    await shop.of()
    assert await shop.features.trouble() is None
    shelf.away = True
    assert await shop.features.trouble() == "it is away"


async def test_nobody_is_ready_for_a_view_that_nobody_applied(shelf: Shelf) -> None:
    del shelf.rows[keys.schema_key("shop", "items")]
    assert await Shop(shelf).features.trouble() == "it has no view items of project shop: run feast apply"


async def test_a_store_that_is_away_is_the_default(shelf: Shelf) -> None:
    shelf.away = True
    shop = Shop(shelf, onUnavailable="Default")
    assert (await shop.of()).status == 200
    assert (shop.seen, shop.meters.features) == ([[-1, -1, -1, 8]], {("users", "unavailable"): 1, ("items", "unavailable"): 1})
    assert await shop.features.trouble() is None


async def test_many_requests_ask_for_schemas_once(shelf: Shelf) -> None:
    shelf.away, shelf.open = True, asyncio.Event()
    shop = Shop(shelf)
    tasks = [asyncio.create_task(shop.of()) for _ in range(20)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.sleep(0)
    shelf.open.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [said.status for said in found if isinstance(said, Said)] == [503] * 19
    assert len(shelf.asked) == 1


async def test_a_request_under_way_is_read_by_the_schemas_it_began_with(shelf: Shelf) -> None:
    shop = Shop(shelf)
    await shop.of()
    shelf.open = asyncio.Event()
    task = asyncio.create_task(shop.of())
    await asyncio.sleep(0)
    shop.features._readers = {}  # what another request does that met a stale row
    shelf.open.set()
    assert (await task).status == 200


async def test_a_key_that_is_no_text_is_refused() -> None:
    chosen = configured(
        request=[tensor("id", "FP32", 1)],
        inputs=[tensor("x", "FP32", 1)],
        features={
            "redis": "redis://store",
            "project": "shop",
            "into": "x",
            "columns": [{"view": "v", "feature": "f"}],
            "entities": [{"view": "v", "keys": [{"name": "id", "input": "id"}]}],
        },
        validation={"rules": [{"input": "id"}]},
    )
    stage = Stage(features=Features(chosen, store=Shelf(), counted=Meters().feature), chosen=chosen)
    said = await stage.ask(asked(given("id", "FP32", [2, 1], [1, None])))
    assert (said.status, said.json["reason"], said.json["input"], said.json["row"]) == (422, "key", "id", 1)
