"""Identities as keyed hashes: who does not have the key can neither read a unit's name in the tables nor try names out."""

import hashlib
import os
import secrets
from pathlib import Path

DIGEST_BYTES = 16
_LEAST_KEY, _MOST_KEY, _RANDOM_BYTES = 16, 64, 32


class NoKey(Exception):
    """The file of the key does not hold one; the message says which and what is wrong."""


class Hashes:
    """Keyed hashes of units, of requests and of idempotency keys: BLAKE2b, 16 bytes."""

    def __init__(self, key: bytes) -> None:
        self._unit = hashlib.blake2b(key=key, digest_size=DIGEST_BYTES, person=b"unit")
        self._request = hashlib.blake2b(key=key, digest_size=DIGEST_BYTES, person=b"request")
        self._event = hashlib.blake2b(key=key, digest_size=DIGEST_BYTES, person=b"event")

    def unit(self, unit: str) -> bytes:
        """Of a unit: the same in every experiment and namespace, so that it can be forgotten everywhere."""
        return _digest(self._unit, unit.encode())

    def request(self, stream: int, request: str) -> bytes:
        """Of a request of a stream."""
        return _digest(self._request, b"%d|%s" % (stream, request.encode()))

    def event(self, *parts: object) -> bytes:
        """Of an idempotency key, with the stream that it is of; or of the content of an event."""
        return _digest(self._event, "\x1f".join(map(str, parts)).encode())


def _digest(keyed: "hashlib.blake2b", what: bytes) -> bytes:
    one = keyed.copy()
    one.update(what)
    return one.digest()


def read(path: Path) -> Hashes:
    """The hashes of a key in a file, without the white space at its ends. NoKey: the file cannot be read, or holds no key."""
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise NoKey(f"the key of hashes cannot be read from {path}: {error.strerror}") from None
    if not _LEAST_KEY <= len(key) <= _MOST_KEY:
        raise NoKey(
            f"the key of hashes in {path} has {len(key)} bytes: it should have {_LEAST_KEY} to {_MOST_KEY}, as `openssl rand -hex 32` makes them"
        )
    return Hashes(key)


def make(path: Path) -> None:
    """Make the key of new data: 32 random bytes in hexadecimal digits, for the owner's eyes only. NoKey: it cannot be written.

    It is there whole or not at all, and on the disk before anything is hashed with it; one that is there stays.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
            file.write(secrets.token_hex(_RANDOM_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(beside, path)
        except FileExistsError:
            return
        finally:
            beside.unlink()
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise NoKey(f"the key of hashes cannot be written to {path}: {error.strerror}") from None
