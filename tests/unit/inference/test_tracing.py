"""W3C trace context is passed on with a parent of our own."""

import pytest

from slipway_inference import tracing
from slipway_testing.inference import Stage, asked

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def made(parent: str | None, state: str | None = None) -> bytes:
    """Headers with a parent id that is known."""
    return tracing.headers(parent, state, draw=lambda count: "ab" * count)


def test_the_trace_stays_and_the_parent_is_new() -> None:
    assert made(PARENT, "a=1,b=2") == f"traceparent: 00-{TRACE}-{'ab' * 8}-01\r\ntracestate: a=1,b=2\r\n".encode()


def test_a_later_version_is_passed_on_as_what_is_known() -> None:
    assert made(f"01-{TRACE}-b7ad6b7169203331-00-more") == f"traceparent: 00-{TRACE}-{'ab' * 8}-00\r\n".encode()


@pytest.mark.parametrize(
    "parent",
    [
        None,
        "",
        "x",
        PARENT.upper(),
        PARENT + "-more",
        PARENT.replace("00-", "ff-", 1),
        PARENT.replace(TRACE, "0" * 32),
        PARENT.replace("b7ad6b7169203331", "0" * 16),
        PARENT[:-1],
        PARENT + "\r\nx-evil: 1",
    ],
)
def test_what_is_no_parent_is_dropped(parent: str | None) -> None:
    assert made(parent, "a=1") == b""


def test_a_state_with_a_line_break_is_dropped() -> None:
    assert b"tracestate" not in made(PARENT, "a=1\r\nx-evil: 1")


async def test_the_model_is_told() -> None:
    stage = Stage()
    await stage.ask(asked(), traceparent=PARENT)
    assert stage.model.traces[0].startswith(f"traceparent: 00-{TRACE}-".encode())
    assert b"b7ad6b7169203331" not in stage.model.traces[0]
