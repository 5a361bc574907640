"""Free ports, and who has one that is not."""

import os
import socket
from collections.abc import Iterator

import pytest

from slipway_box import ports
from slipway_box.errors import BoxError


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_free_ports_are_different_and_outside_the_ranges_of_others() -> None:
    found = ports.free(8)
    assert len(set(found)) == 8
    assert all(20000 <= port < 29999 for port in found)


def test_a_taken_port_is_told_with_its_holder(taken: int) -> None:
    with pytest.raises(BoxError, match=rf"etcd needs port {taken} on 127\.0\.0\.1, which .* \(process {os.getpid()}\) holds"):
        ports.require("etcd", "127.0.0.1", taken)


def test_an_address_that_does_not_exist_yet_is_not_taken(taken: int) -> None:
    assert ports.available("198.51.100.7", taken)
