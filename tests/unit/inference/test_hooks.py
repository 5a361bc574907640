"""A class of the user's before and after the model."""

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from slipway_inference.configuration import ConfigurationError
from slipway_testing.inference import Stage, asked, given, tensor, with_binary


@pytest.fixture
def shop() -> Iterator[ModuleType]:
    """A module of the user's image."""
    sys.modules["shop_hooks"] = module = ModuleType("shop_hooks")
    yield module
    del sys.modules["shop_hooks"]


def hooked(module: ModuleType, on_error: Any = "Fail", **methods: Any) -> Stage:
    """A transformer whose hooks are these functions."""
    module.Ranker = type("Ranker", (), {"__init__": lambda self, parameters: None, **methods})  # type: ignore[attr-defined]
    return Stage(hooks={"class": "shop_hooks:Ranker", "onError": on_error})


async def test_pre_and_post_are_called(shop: ModuleType) -> None:
    stage = hooked(
        shop,
        pre=lambda _, tensors: {"x": tensors["x"] * 2},
        post=lambda _, tensors, inputs: {"y": tensors["y"] + 1, "first": inputs["x"][:, 0]},
    )
    said = await stage.ask(asked())
    assert (said.output("y"), said.output("first")) == ([21.0], [2.0])


async def test_a_hook_may_write_to_what_it_gets(shop: ModuleType) -> None:
    def pre(_: object, tensors: dict[str, Any]) -> dict[str, Any]:
        tensors["x"] += 1
        return tensors

    body, length = with_binary((given(), np.array([1, 2, 3, 4], "<f4").tobytes()))
    assert (await hooked(shop, pre=pre).ask(body, inference_header_content_length=length)).output() == [14.0]


def raising(*_: object) -> Any:
    """As users' code does."""
    raise KeyError("secret")


WRONG = {
    "it raises": raising,
    "it gives no dict": lambda *_: [1],
    "it gives None": lambda *_: None,
    "other rows": lambda *_: {"x": np.zeros((3, 4), np.float32)},
    "a scalar": lambda *_: {"x": 1.0},
    "a type that the protocol lacks": lambda *_: {"x": np.zeros((1, 4), np.complex64)},
    "objects": lambda *_: {"x": np.array([[{}, 1, 2, 3]], object)},
}


@pytest.mark.parametrize("which", ["pre", "post"])
@pytest.mark.parametrize("case", WRONG)
async def test_a_hook_that_fails(shop: ModuleType, case: str, which: str) -> None:
    stage = hooked(shop, **{which: WRONG[case]})
    said = await stage.ask(asked())
    assert (said.status, said.json["reason"]) == (500, "hook")
    assert said.json["error"].startswith(f"hook shop_hooks:Ranker.{which} failed: ")
    assert "secret" not in said.json["error"]
    assert stage.meters.hook_failures == {which: 1}


@pytest.mark.parametrize("which", ["pre", "post"])
@pytest.mark.parametrize("case", WRONG)
async def test_a_hook_that_fails_is_skipped_where_it_may(shop: ModuleType, case: str, which: str) -> None:
    stage = hooked(shop, "Skip", **{which: WRONG[case]})
    assert (await stage.ask(asked())).output() == [10.0]
    assert stage.meters.hook_failures == {which: 1}


async def test_numbers_of_the_other_byte_order_and_strings_are_taken(shop: ModuleType) -> None:
    stage = hooked(shop, post=lambda *_: {"big": np.array([1.5], ">f4"), "text": np.array(["a"])})
    said = await stage.ask(asked(outputs=[{"name": "big", "parameters": {"binary_data": True}}, {"name": "text"}]))
    head = int(said.headers["inference-header-content-length"])
    assert said.body[head:] == np.array([1.5], "<f4").tobytes()
    assert b'"datatype":"BYTES","shape":[1],"data":["a"]' in said.body


async def test_what_a_hook_gives_has_to_fit_the_model(shop: ModuleType) -> None:
    said = await hooked(shop, pre=lambda *_: {"x": np.zeros((1, 5), np.float32)}).ask(asked())
    assert (said.status, said.json["reason"], said.json["input"]) == (500, "inputs", "x")


async def test_numbers_change_their_size_where_they_keep_their_value(shop: ModuleType) -> None:
    assert (await hooked(shop, pre=lambda *_: {"x": np.array([[1, 2, 3, 4]])}).ask(asked())).output() == [10.0]


async def test_labels_are_made_of_what_the_post_hook_gives(shop: ModuleType) -> None:
    shop.Ranker = type("Ranker", (), {"__init__": lambda *_: None, "post": lambda *_: {"made": np.array([[0.25, 0.75]])}})  # type: ignore[attr-defined]
    stage = Stage(hooks={"class": "shop_hooks:Ranker"}, answer={"output": "made", "labels": ["a", "b"], "topK": 1})
    assert (await stage.ask(asked())).output("made_labels") == ["b"]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (None, "cannot be made: AttributeError"),
        (type("Ranker", (), {"__init__": raising}), "cannot be made: KeyError: 'secret'"),
        (type("Ranker", (), {"__init__": lambda *_: None}), "has neither pre nor post"),
    ],
)
def test_a_class_that_cannot_be_used(shop: ModuleType, made: Any, said: str) -> None:
    if made:
        shop.Ranker = made  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match=rf"hooks\.class shop_hooks:Ranker {said}"):
        Stage(hooks={"class": "shop_hooks:Ranker"})


async def test_a_hook_may_give_inputs_that_clients_do_not_send(shop: ModuleType) -> None:
    shop.Ranker = type(  # type: ignore[attr-defined]
        "Ranker", (), {"__init__": lambda *_: None, "pre": lambda _, tensors: {"x": np.full((1, 4), len(tensors["text"][0, 0]))}}
    )
    stage = Stage(request=[tensor("text", "BYTES", 1)], hooks={"class": "shop_hooks:Ranker"})
    assert (await stage.ask(asked(given("text", "BYTES", [1, 1], ["abc"])))).output() == [12.0]
