"""Free ports, and who has one that is not."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from slipway_box import ports
from slipway_box.errors import BoxError
from slipway_box.layout import REPOSITORY

TAKER = "import sys; from slipway_box import ports; print(*ports.free(1), flush=True); sys.stdin.read()"


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_free_ports_are_different_and_outside_the_ranges_of_others() -> None:
    found = ports.free(8)
    assert len(set(found)) == 8
    assert all(20000 <= port < 29999 for port in found)


def test_a_port_is_given_once_as_long_as_the_process_lives_that_was_given_it(monkeypatch: pytest.MonkeyPatch) -> None:
    child = subprocess.Popen([sys.executable, "-c", TAKER], cwd=REPOSITORY / "box", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin
    assert child.stdout
    with child:
        theirs, other = int(child.stdout.readline()), *ports.free(1)
        monkeypatch.setattr(ports, "_FREE", [theirs] * 99 + [other])
        monkeypatch.setattr(ports, "_given", set())
        assert ports.free(1) == [other]
        child.stdin.close()
    assert ports.free(1) == [theirs]


def test_a_process_is_not_given_a_port_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_FREE", range(10))
    monkeypatch.setattr(ports, "_given", set())
    monkeypatch.setattr(ports, "available", lambda address, port: True)
    assert sorted(port for _ in range(10) for port in ports.free(1)) == list(range(10))


def test_a_taken_port_is_told_with_its_holder(taken: int) -> None:
    with pytest.raises(BoxError, match=rf"etcd needs port {taken} on 127\.0\.0\.1, which .* \(process {os.getpid()}\) holds"):
        ports.require("etcd", "127.0.0.1", taken)


def test_an_address_that_does_not_exist_yet_is_not_taken(taken: int) -> None:
    assert ports.available("198.51.100.7", taken)
