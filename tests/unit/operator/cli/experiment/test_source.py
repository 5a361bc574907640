"""Looks from a ledger, by its own address and through the API server."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

UID = "1a2b3c4d-0000-4000-8000-000000000000"
LOOKS = "/v1/experiments/shop/ranker-v8-1a2b3c4d/looks"
PROXY = "/api/v1/namespaces/slipway-system/services/http:slipway-ledger:8080/proxy"
OBJECT = "/apis/slipway.dev/v1alpha1/namespaces/shop/experiments/ranker-v8"
TOKEN = "/api/v1/namespaces/slipway-system/serviceaccounts/slipway-ledger-reader/token"


@dataclass
class Server:
    """An API server and a ledger in one; what was asked of it."""

    looks: list[dict[str, Any]]
    port: int = 0
    asked: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    answers: dict[str, list[tuple[int, dict[str, str], Any]]] = field(default_factory=dict)
    """By path, without its query: what is answered in place of the truth, one after the other."""

    def answer(self, method: str, path: str, headers: dict[str, str], body: Any) -> tuple[int, dict[str, str], Any]:
        self.asked.append((method, path, headers, body))
        bare, _, query = path.partition("?")
        if self.answers.get(bare):
            return self.answers[bare].pop(0)
        if bare in (LOOKS, PROXY + LOOKS):
            after, limit = (int(part.partition("=")[2]) for part in query.split("&"))
            return 200, {}, {"looks": self.looks[after : after + limit], "last": len(self.looks)}
        if bare == OBJECT:
            metadata = {"name": "ranker-v8", "namespace": "shop", "uid": UID}
            status = {"ledgerName": f"ranker-v8-{UID[:8]}"}
            return 200, {}, {"apiVersion": "slipway.dev/v1alpha1", "kind": "Experiment", "metadata": metadata, "status": status}
        if (method, bare) == ("POST", TOKEN):
            return 201, {}, {"status": {"token": "token-of-the-ledger"}}
        return 404, {}, {"kind": "Status", "reason": "NotFound", "message": f"{bare} is not there", "details": {"name": "x"}}


@pytest.fixture
def server(bodies: Any) -> Iterator[Server]:
    told = bodies("alike")
    # More than two answers hold: the same looks again, with the next numbers.
    served = Server(looks=[look | {"sequence": place + 1} for place, look in enumerate([*told, *told])])

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            body = json.loads(self.rfile.read(length)) if length else None
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more, answer = served.answer(self.command, self.path, headers, body)
            text = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {**more, "Content-Length": str(len(text)), "Connection": "close"}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = _do  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        served.port = listening.server_port
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        listening.shutdown()
        thread.join()


@pytest.fixture
def kubeconfig(server: Server, tmp_path: Path) -> str:
    file = tmp_path / "kubeconfig"
    file.write_text(
        yaml.safe_dump(
            {
                "current-context": "here",
                "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me", "namespace": "shop"}}],
                "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{server.port}"}}],
                "users": [{"name": "me", "user": {"token": "token-of-the-cluster"}}],
            }
        )
    )
    return str(file)


@pytest.fixture
def token_file(tmp_path: Path) -> str:
    file = tmp_path / "token"
    file.write_text("token-of-a-reader\n")
    return str(file)


def _written(out: str) -> list[Any]:
    return [json.loads(line) for line in out.splitlines()]


def test_through_the_api_server(run: Any, server: Server, kubeconfig: str) -> None:
    status, out, err = run("looks", "ranker-v8", "--kubeconfig", kubeconfig)
    assert (status, err) == (0, "")
    assert _written(out) == server.looks
    (_, _, _, made) = next(asked for asked in server.asked if asked[1] == TOKEN)
    assert made["kind"] == "TokenRequest"
    assert made["spec"] == {"audiences": ["slipway-ledger"], "expirationSeconds": 600}
    read = [asked for asked in server.asked if asked[1].startswith(PROXY)]
    assert [path for _, path, _, _ in read] == [f"{PROXY}{LOOKS}?after={after}&limit=100" for after in (0, 100, 200)]
    assert {(headers["authorization"], headers["x-slipway-authorization"]) for _, _, headers, _ in read} == {
        ("Bearer token-of-the-cluster", "Bearer token-of-the-ledger")
    }


def test_straight_from_the_ledger_no_api_server_is_asked(run: Any, server: Server, token_file: str) -> None:
    status, out, _ = run("looks", "ranker-v8", "-n", "shop", "--uid", UID, "--ledger", f"http://127.0.0.1:{server.port}/", "--token-file", token_file)
    assert (status, _written(out)) == (0, server.looks)
    assert {(path.partition("?")[0], headers["authorization"]) for _, path, headers, _ in server.asked} == {(LOOKS, "Bearer token-of-a-reader")}
    assert all("x-slipway-authorization" not in headers for _, _, headers, _ in server.asked)


def test_the_environment_says_where_the_ledger_is(
    run: Any, server: Server, token_file: str, kubeconfig: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_LEDGER_URL", f"http://127.0.0.1:{server.port}")
    monkeypatch.setenv("SLIPWAY_LEDGER_TOKEN_FILE", token_file)
    status, out, _ = run("looks", "ranker-v8", "--kubeconfig", kubeconfig)
    assert (status, _written(out)) == (0, server.looks)
    assert [path for _, path, _, _ in server.asked] == [OBJECT, *(f"{LOOKS}?after={after}&limit=100" for after in (0, 100, 200))]


def test_a_busy_ledger_is_waited_for(run: Any, server: Server, token_file: str) -> None:
    server.answers[LOOKS] = [(429, {"Retry-After": "0"}, {"error": "busy", "reason": "busy"}), (503, {"Retry-After": "0"}, "")]
    status, _, _ = run("looks", "ranker-v8", "-n", "shop", "--uid", UID, "--ledger", f"http://127.0.0.1:{server.port}", "--token-file", token_file)
    assert (status, len(server.asked)) == (0, 5)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (
            (401, {}, {"error": "no such token", "reason": "token"}),
            "answers 401: no such token; give a token that the ledger knows: --token-file FILE",
        ),
        ((403, {}, {"error": "not here", "reason": "role"}), "answers 403: not here; the token needs the role reader in that namespace"),
        ((404, {}, {"error": "no such experiment", "reason": "experiment"}), "shop/ranker-v8-1a2b3c4d has no looks in the ledger at http://"),
        ((500, {}, "oh"), "answers 500: oh; try again; the ledger's log says more"),
        ((200, {}, {"items": []}), 'answers 200: {"items": []}; try again'),
        ((200, {}, "no JSON"), "answers 200: no JSON; try again"),
        ((200, {}, {"looks": [], "last": 0}), "the ledger's shop/ranker-v8-1a2b3c4d holds no look: "),
        ((200, {}, {"looks": [{"sequence": 1}], "last": 1}), "a look of shop/ranker-v8-1a2b3c4d is no look: it lacks at, version"),
    ],
)
def test_a_ledger_that_says_no(answer: Any, complaint: str, run: Any, server: Server, token_file: str) -> None:
    server.answers[LOOKS] = [answer]
    status, out, err = run(
        "looks", "ranker-v8", "-n", "shop", "--uid", UID, "--ledger", f"http://127.0.0.1:{server.port}", "--token-file", token_file
    )
    assert (status, out) == (2, "")
    assert complaint in err
    assert "token-of-a-reader" not in err


@pytest.mark.parametrize(
    ("path", "answer", "complaint"),
    [
        (OBJECT, (404, {}, {"kind": "Status", "reason": "NotFound", "details": {"name": "ranker-v8"}}), "look for its name with `kubectl get xp"),
        (OBJECT, (404, {}, "404 page not found"), "the cluster does not know Experiments: install Slipway's manifests"),
        (OBJECT, (401, {}, {"kind": "Status", "reason": "Unauthorized"}), "log in again"),
        (
            TOKEN,
            (403, {}, {"kind": "Status", "reason": "Forbidden", "message": "no"}),
            "or ask the ledger itself with --ledger URL --token-file FILE",
        ),
        (
            TOKEN,
            (404, {}, {"kind": "Status", "reason": "NotFound", "details": {"name": "x"}}),
            "the cluster has no ServiceAccount slipway-system/slipway-ledger-reader: install Slipway's ledger",
        ),
    ],
)
def test_an_api_server_that_says_no(path: str, answer: Any, complaint: str, run: Any, server: Server, kubeconfig: str) -> None:
    server.answers[path] = [answer]
    status, out, err = run("looks", "ranker-v8", "--kubeconfig", kubeconfig)
    assert (status, out) == (2, "")
    assert complaint in err


def test_nobody_answers(run: Any, token_file: str) -> None:
    status, _, err = run("looks", "ranker-v8", "-n", "shop", "--uid", UID, "--ledger", "http://127.0.0.1:1", "--token-file", token_file)
    assert status == 2
    assert "http://127.0.0.1:1 does not answer" in err
    assert "see that the address is right and the ledger runs, or use --looks FILE" in err


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        ((), "name an experiment (slipway experiment report NAME), or give its looks (--looks FILE)"),
        (("x", "-n", "shop", "--uid", UID, "--ledger", "ledger:8080"), "ledger:8080 is no address of a ledger"),
        (("x", "-n", "shop", "--uid", UID, "--ledger", "http://127.0.0.1:1", "--token-file", "nix"), "cannot read a token from nix"),
        (("x", "--kubeconfig", "nix"), "give --kubeconfig FILE, or read looks that were fetched before with --looks FILE"),
    ],
)
def test_questions_that_cannot_be_asked(argv: tuple[str, ...], complaint: str, run: Any) -> None:
    status, out, err = run("looks", *argv)
    assert (status, out) == (2, "")
    assert complaint in err


def test_a_token_file_without_a_token(run: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text(" \n")
    status, _, err = run("looks", "x", "-n", "shop", "--uid", UID, "--ledger", "http://127.0.0.1:1", "--token-file", "empty")
    assert (status, err) == (2, "slipway: empty holds no token; give the file of a token with the role reader\n")


def test_looks_are_of_the_name_that_the_status_tells(run: Any, server: Server, token_file: str, kubeconfig: str) -> None:
    """One that was changed before it had begun is called otherwise than its uid says."""
    metadata = {"name": "ranker-v8", "namespace": "shop", "uid": UID}
    body = {"apiVersion": "slipway.dev/v1alpha1", "kind": "Experiment", "metadata": metadata, "status": {"ledgerName": "ranker-v8-0a1b2c3d"}}
    server.answers[OBJECT] = [(200, {}, body)]
    status, _, err = run("looks", "ranker-v8", "--kubeconfig", kubeconfig, "--ledger", f"http://127.0.0.1:{server.port}", "--token-file", token_file)
    assert (status, "shop/ranker-v8-0a1b2c3d" in err) == (2, True), err


@pytest.mark.parametrize(
    ("told", "why"),
    [({}, "no operator has looked at it yet"), ({"summary": "It waits for ranker-v7."}, "It waits for ranker-v7.")],
    ids=["new", "queued"],
)
def test_what_has_not_had_its_turn_has_no_looks(told: dict[str, Any], why: str, run: Any, server: Server, kubeconfig: str) -> None:
    metadata = {"name": "ranker-v8", "namespace": "shop", "uid": UID}
    body = {"apiVersion": "slipway.dev/v1alpha1", "kind": "Experiment", "metadata": metadata, "status": told}
    server.answers[OBJECT] = [(200, {}, body)]
    status, _, err = run("looks", "ranker-v8", "--kubeconfig", kubeconfig)
    assert (status, err) == (2, f"slipway: shop/ranker-v8 has no looks yet: {why}; follow it with slipway experiment status ranker-v8\n")


def test_status_asks_the_api_server(run: Any, server: Server, kubeconfig: str) -> None:
    spec = {
        "targetRef": {"name": "ranker"},
        "arms": [{"name": "control"}, {"name": "v8", "model": {"uri": "s3://models/8"}}],
        "assignment": {"unit": {"header": "x-user-id"}},
        "metrics": [{"name": "conversion", "role": "Primary", "type": "Proportion", "minimumEffect": {"absolute": "0.01"}}],
    }
    metadata = {"name": "ranker-v8", "namespace": "shop", "uid": UID}
    body = {"apiVersion": "slipway.dev/v1alpha1", "kind": "Experiment", "metadata": metadata, "spec": spec, "status": {"verdict": "Unhealthy"}}
    server.answers[OBJECT] = [(200, {}, body)]
    status, out, _ = run("status", "ranker-v8", "--kubeconfig", kubeconfig)
    assert (status, out.splitlines()[0]) == (1, "shop/ranker-v8 on ranker: Unhealthy")
