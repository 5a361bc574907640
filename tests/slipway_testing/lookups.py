"""A client in a pod that looks its address up anew for each request, as most clients of a Service do."""

import json
import subprocess
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from slipway_testing.stage import Stage
from slipway_testing.users import BODY

BEGUN = "begun"
LASTS_S = 60
"""Longest that it asks."""

AFTER = 50
"""Answers that it wants after the last look-up that it missed DNS at."""

PATIENCE_S = 1.0
"""A look-up that takes longer did so for want of DNS: resolvers ask again after seconds before they give up."""

_PROGRAM = """
import json, socket, sys, time, urllib.request

name, body, begun = sys.argv[1], sys.argv[2].encode(), sys.argv[3]
lasts_s, after, patience_s = map(float, sys.argv[4:])
told = {"answered": 0, "missed": 0, "since": 0, "failures": []}
end = time.monotonic() + lasts_s
while time.monotonic() < end and not (told["missed"] and told["since"] >= after):
    time.sleep(0.02)
    address, started = None, time.monotonic()
    try:
        address = socket.getaddrinfo(name, 80, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]
    except socket.gaierror:
        pass
    if address is None or time.monotonic() - started > patience_s:
        told["missed"], told["since"] = told["missed"] + 1, 0
    if address is None:
        continue
    try:
        asked = urllib.request.Request(f"http://{address}/v2/models/{name}/infer", body, {"content-type": "application/json"})
        with urllib.request.urlopen(asked, timeout=5) as answer:
            answer.read()
    except OSError as error:
        told["failures"].append(repr(error))
    else:
        told["answered"], told["since"] = told["answered"] + 1, told["since"] + 1
        if told["answered"] == 10:
            print(begun, flush=True)
print(json.dumps(told))
"""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What it saw."""

    answered: int
    missed: int
    """Look-ups that failed, or waited for DNS to come back."""

    since: int
    """Good answers after the last of those."""

    failures: list[str]
    """Requests that failed although the address was known."""


class Resolving:
    """The client, from enter, which waits for its first answers, to ``told``."""

    def __init__(self, stage: Stage, name: str) -> None:
        arguments = (name, BODY, BEGUN, str(LASTS_S), str(AFTER), str(PATIENCE_S))
        self._command = [*stage.kubectl, f"--namespace={stage.namespace}", "exec", stage.uploader, "--", "python", "-c", _PROGRAM, *arguments]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._process.stdout
        if self._process.stdout.readline().strip() != BEGUN:
            raise AssertionError(f"the client in the pod got no answers: {self._process.communicate()}")
        return self

    def told(self) -> Told:
        """Wait until it has had enough; what it saw."""
        out, error = self._process.communicate(timeout=LASTS_S + 30)
        assert self._process.returncode == 0, error
        return Told(**json.loads(out))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._process:
            self._process.kill()
