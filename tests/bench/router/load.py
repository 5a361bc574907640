"""What asks the router: each time another unit, as fast as it is answered or at a given rate."""

from pathlib import Path

from bench import load
from bench.cores import OTHER_CORE
from bench.load import Answered, Run

__all__ = ["BODY", "Answered", "Run", "answers_at_a_rate", "as_fast_as_possible", "at_a_rate"]

_SCRIPT = """
local body = '{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[0.25,0.5,0.75,1.0]}],"outputs":[{"name":"y"}]}'
local head = "POST /v2/models/ranker/infer HTTP/1.1\\r\\nHost: ranker\\r\\nContent-Type: application/json\\r\\n"
head = head .. "Content-Length: " .. #body .. "\\r\\nx-user-id: user-"
math.randomseed(os.time())
request = function()
    return head .. math.random(UNITS) .. "\\r\\n\\r\\n" .. body
end
"""
UNITS = 10_000
BODY = '{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[0.25,0.5,0.75,1.0]}],"outputs":[{"name":"y"}]}'
_HEADERS = {"x-user-id": "user-1", "content-type": "application/json"}


def as_fast_as_possible(folder: Path, port: int, *, connections: int, seconds: int) -> Run:
    """Each connection asks again as soon as it is answered, each time for another unit."""
    return load.as_fast_as_possible(folder, port, script=_SCRIPT.replace("UNITS", str(UNITS)), connections=connections, seconds=seconds)


def answers_at_a_rate(folder: Path, host: str, port: int, *, per_second: float, seconds: int, clients: int = 20) -> list[Answered]:
    """Requests at fixed times, as many at each as there are clients."""
    url = f"http://{host}:{port}/v2/models/ranker/infer"
    pinned = ["taskset", "-c", OTHER_CORE]
    return load.at_a_rate(folder, url, body=BODY, headers=_HEADERS, per_second=per_second, seconds=seconds, clients=clients, core=pinned)


def at_a_rate(folder: Path, host: str, port: int, *, per_second: float, seconds: int) -> list[float]:
    """The seconds that each of such requests took; all of them are answered well."""
    answers = answers_at_a_rate(folder, host, port, per_second=per_second, seconds=seconds, clients=6)
    assert {one.status for one in answers} == {200}
    return [one.seconds for one in answers]
