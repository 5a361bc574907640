"""A relay before the ledger that loses some exposures of one arm, passes on everything else as it came, and counts both.

``lossy_way`` runs this file as it stands in a pod: the standard library only. Arguments: the ledger's address, the arm, one in how many is lost.
Of a unit either every exposure is lost or none, however often its router sends it again.
"""

import hashlib
import http.client
import json
import sys
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = 8080
COUNTS = "/relayed"
"""Where it answers how many units it passed on and how many it lost, by arm; the ledger has nothing there."""

TIMEOUT_S = 20.0
_OF_ONE_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length", "host", "date", "server")
_lock = threading.Lock()
_passed: dict[str, set[str]] = defaultdict(set)
_lost: dict[str, set[str]] = defaultdict(set)


def is_lost(unit: str, *, one_in: int) -> bool:
    """The same for a unit in every run."""
    return int.from_bytes(hashlib.sha256(f"lost {unit}".encode()).digest()[:6], "big") % one_in == 0


def left(lines: bytes, *, arm: str, one_in: int) -> bytes:
    """Exposures, one JSON object a line, without those that are lost."""
    kept = []
    with _lock:
        for line in lines.splitlines():
            exposure = json.loads(line)
            unit, met = str(exposure["unit"]), str(exposure["arm"])
            lost = met == arm and is_lost(unit, one_in=one_in)
            (_lost if lost else _passed)[met].add(unit)
            if not lost:
                kept.append(line + b"\n")
    return b"".join(kept)


def counts() -> bytes:
    """As JSON: ``passed`` and ``lost``, units by arm."""
    with _lock:
        found = {"passed": _passed, "lost": _lost}
        return json.dumps({what: {arm: len(units) for arm, units in by_arm.items()} for what, by_arm in found.items()}).encode()


class Relay(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    ledger = ""
    arm = ""
    one_in = 1

    def _relay(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == COUNTS:
            self._answer(200, {"Content-Type": "application/json"}, counts())
            return
        if self.path == "/v1/exposures":
            body = left(body, arm=self.arm, one_in=self.one_in)
        try:
            self._answer(*self._asked(body))
        except (OSError, http.client.HTTPException) as error:
            self._answer(503, {"Content-Type": "application/json"}, json.dumps({"error": f"the ledger: {error!r}", "reason": "relay"}).encode())

    def _asked(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """What the ledger answers."""
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _OF_ONE_HOP}
        connection = http.client.HTTPConnection(self.ledger, PORT, timeout=TIMEOUT_S)
        try:
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in _OF_ONE_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = _relay  # noqa: N815

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Nothing: the ledger logs what is worth it."""


if __name__ == "__main__":
    Relay.ledger, Relay.arm, Relay.one_in = sys.argv[1], sys.argv[2], int(sys.argv[3])
    ThreadingHTTPServer(("", PORT), Relay).serve_forever()
