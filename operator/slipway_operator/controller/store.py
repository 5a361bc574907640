"""The live objects of a kind, as far as they are known."""

from typing import Final, TypeAlias

from slipway_operator.cluster.resources import Object

Key: TypeAlias = tuple[str, str]
"""Namespace and name of an object."""


_REMOVED: Final = 1000
"""How many removed objects are remembered: many more than answers are under way."""


class Store:
    """The newest version seen of each object, from watch events and from the answers to our own writes.

    Our own write is answered before its watch event arrives; without its answer the next pass would decide on a status that it has itself replaced.
    Watch and answers come by connections of their own: an answer may still speak of an object whose deletion has been told already, and nothing would
    ever take that away again. What was removed therefore never comes back.
    """

    def __init__(self) -> None:
        self._objects: dict[Key, Object] = {}
        self._of_namespace: dict[str, dict[Key, None]] = {}
        self._removed: dict[str, None] = {}
        """Their uids, the last one last."""

    def get(self, key: Key) -> Object | None:
        """The object, or None when there is none."""
        return self._objects.get(key)

    def put(self, obj: Object) -> bool:
        """Remember ``obj``; False when it is no news."""
        key, uid = key_of(obj), obj["metadata"]["uid"]
        known = self._objects.get(key)
        if uid in self._removed or (known is not None and known["metadata"]["uid"] == uid and _version(known) >= _version(obj)):
            return False
        self._of_namespace.setdefault(key[0], {})[key] = None
        self._objects[key] = {**obj, "metadata": {name: value for name, value in obj["metadata"].items() if name != "managedFields"}}
        return True

    def remove(self, obj: Object) -> None:
        """Forget ``obj`` for good; not another one that has taken its name since."""
        self._removed[obj["metadata"]["uid"]] = None
        if len(self._removed) > _REMOVED:
            del self._removed[next(iter(self._removed))]
        known = self._objects.get(key_of(obj))
        if known is not None and known["metadata"]["uid"] == obj["metadata"]["uid"]:
            key = key_of(obj)
            del self._objects[key]
            del self._of_namespace[key[0]][key]
            if not self._of_namespace[key[0]]:
                del self._of_namespace[key[0]]

    def keys(self) -> tuple[Key, ...]:
        """Every object there is."""
        return tuple(self._objects)

    def all(self) -> tuple[Object, ...]:
        """Every object itself."""
        return tuple(self._objects.values())

    def keys_in(self, namespace: str) -> tuple[Key, ...]:
        """Those of one namespace."""
        return tuple(self._of_namespace.get(namespace, ()))

    def all_in(self, namespace: str) -> tuple[Object, ...]:
        """The objects of one namespace."""
        return tuple(self._objects[key] for key in self.keys_in(namespace))

    def count(self, namespace: str) -> int:
        """How many there are in one namespace."""
        return len(self._of_namespace.get(namespace, ()))


def key_of(obj: Object) -> Key:
    """Namespace and name."""
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


def _version(obj: Object) -> int:
    """Resource versions of one kind are numbers that grow (KEP-5504)."""
    return int(obj["metadata"].get("resourceVersion") or 0)
