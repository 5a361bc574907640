"""The newest version seen of each ModelDeployment."""

from typing import Any

from slipway_operator.controller.store import _REMOVED, Store


def obj(version: int, *, uid: str = "a", **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "shop", "name": "digits", "uid": uid, "resourceVersion": str(version), **metadata}}


def test_a_newer_version_is_news() -> None:
    store = Store()

    assert (store.put(obj(1)), store.put(obj(2))) == (True, True)
    assert store.get(("shop", "digits")) == obj(2)


def test_an_older_or_equal_version_is_none() -> None:
    """The answer to our own write comes before its watch event, and the event before it may come later still."""
    store = Store()
    store.put(obj(5))

    assert (store.put(obj(5)), store.put(obj(4))) == (False, False)
    assert store.get(("shop", "digits")) == obj(5)


def test_another_object_of_the_name_is_news_whatever_its_version() -> None:
    store = Store()
    store.put(obj(5))

    assert store.put(obj(3, uid="b"))


def test_a_late_deletion_does_not_take_the_new_object_of_that_name() -> None:
    store = Store()
    store.put(obj(5, uid="b"))

    store.remove(obj(4, uid="a"))

    assert store.keys() == (("shop", "digits"),)
    store.remove(obj(6, uid="b"))
    assert (store.keys(), store.get(("shop", "digits"))) == ((), None)


def test_an_answer_that_comes_after_the_deletion_brings_nothing_back() -> None:
    """Of a write, or a read, that was answered before the object was deleted, and heard of after the watch had told that."""
    store = Store()
    store.put(obj(5))

    store.remove(obj(6))

    assert (store.put(obj(5)), store.put(obj(6)), store.keys(), store.count("shop")) == (False, False, (), 0)
    assert store.put(obj(7, uid="b")), "another one of that name"


def test_no_more_deletions_are_remembered_than_answers_are_under_way() -> None:
    store = Store()
    for number in range(3 * _REMOVED):
        store.remove(obj(number, uid=f"{number}"))

    assert len(store._removed) == _REMOVED
    assert not store.put(obj(1, uid=f"{3 * _REMOVED - 1}"))


def test_managed_fields_are_not_kept() -> None:
    store = Store()

    store.put(obj(1, managedFields=[{"manager": "x"}]))

    assert store.get(("shop", "digits")) == obj(1)
