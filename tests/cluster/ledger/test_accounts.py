"""The ledger beside a real API server: tokens of service accounts as pods have them."""

import base64
import http
import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ledger.harness import ADMIN, CHECKOUT, Ledger, definition, exposure, outcome
from slipway_box import environments
from slipway_box.certificates import Authority
from slipway_box.controlplane import ControlPlane
from slipway_ledger import app, reviews
from slipway_ledger.apiserver import ApiServer
from slipway_ledger.reviews import Account
from slipway_testing import accounts
from slipway_testing.kube import Kube, eventually
from slipway_testing.loopback import free_port

SYSTEM = "slipway-system"
ISSUER = "https://kubernetes.default.svc.cluster.local"
"""Of the control plane's tokens, and the audience of those that are for the API server."""
TOKENS = f"""
admin {ADMIN}
admin account {SYSTEM}/slipway-operator
router account */slipway-router
application account */*
"""
Start = Callable[..., Ledger]


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """etcd and an API server of the module's own: the accounts in it are no other test's."""
    with ControlPlane(tmp_path_factory.mktemp("ledger"), kserve=False, controllers=()) as plane:
        yield plane


@pytest.fixture(scope="module")
def shops(plane: ControlPlane) -> Kube:
    """Accounts of routers and applications in shop and bank, the operator's and the ledger's own, which may review tokens."""
    kube = Kube(plane.kubeconfig)
    for namespace in ("shop", "bank", SYSTEM):
        kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    for namespace, name in (
        ("shop", "slipway-router"),
        ("bank", "slipway-router"),
        ("shop", "web"),
        (SYSTEM, "slipway-operator"),
        (SYSTEM, "slipway-ledger"),
        (SYSTEM, "nobody"),
    ):
        accounts.make(kube, namespace, name)
    plane.kubectl(
        "create", "clusterrolebinding", "slipway-ledger", "--clusterrole=system:auth-delegator", f"--serviceaccount={SYSTEM}:slipway-ledger"
    )
    return kube


@pytest.fixture
def server(shops: Kube, plane: ControlPlane, tmp_path: Path) -> ApiServer:
    """The API server, as a pod of the ledger's finds it."""
    [cluster] = json.loads(plane.kubeconfig.read_text())["clusters"]
    (tmp_path / "ca.crt").write_bytes(base64.b64decode(cluster["cluster"]["certificate-authority-data"]))
    (tmp_path / "own").write_text(accounts.token(shops, SYSTEM, "slipway-ledger", audience=ISSUER))
    return ApiServer(server=plane.server, authority=tmp_path / "ca.crt", token=tmp_path / "own")


@pytest.fixture
def start(server: ApiServer, tmp_path: Path) -> Iterator[Start]:
    """Starts a ledger that asks the API server as its own account, or as settings say, and registers shop/checkout."""
    with ExitStack() as running:

        def started(**settings: Any) -> Ledger:
            chosen: dict[str, Any] = {
                "kube_server": server.server,
                "kube_authority_file": server.authority,
                "kube_token_file": server.token,
            } | settings
            ledger = Ledger(tmp_path, python=environments.need("ledger-tests") / "bin" / "python", review_seconds=1, **chosen)
            ledger.tokens.write_text(TOKENS)
            running.enter_context(ledger)
            assert ledger.put(CHECKOUT, definition()).status == http.HTTPStatus.CREATED
            return ledger

        yield started


def said(answer: Any) -> tuple[int, str]:
    """Status, and why it was refused."""
    return answer.status, answer.said.get("reason", "")


def test_accounts_have_the_roles_of_the_lines_that_fit_them(start: Start, shops: Kube) -> None:
    ledger = start()
    router, other, web, operator = (
        accounts.token(shops, namespace, name)
        for namespace, name in (("shop", "slipway-router"), ("bank", "slipway-router"), ("shop", "web"), (SYSTEM, "slipway-operator"))
    )

    assert said(ledger.post("/v1/exposures", exposure("ada"), router)) == (200, "")
    assert said(ledger.post("/v1/exposures", exposure("ada"), web)) == (403, "role")
    assert [no["reason"] for no in ledger.post("/v1/exposures", exposure("ada"), other).said["refused"]] == ["namespace"]
    assert said(ledger.post("/v1/outcomes", outcome("ada"), web)) == (200, "")
    assert said(ledger.get(f"{CHECKOUT}/sums", operator)) == (200, "")
    assert said(ledger.post(f"{CHECKOUT}/looks", {"sequence": 1}, operator)) == (201, "")
    assert said(ledger.post(f"{CHECKOUT}/looks", {"sequence": 2}, router)) == (403, "role")
    assert ledger.metric('reviews_total{result="yes"}') == 4


def test_a_token_behind_a_proxy_stands_in_a_header_of_its_own(start: Start, shops: Kube) -> None:
    ledger = start()
    operator = accounts.token(shops, SYSTEM, "slipway-operator")

    assert ledger.post(f"{CHECKOUT}/looks", {"sequence": 1}, "", x_slipway_authorization=f"Bearer {operator}").status == http.HTTPStatus.CREATED
    # Where both are there the usual one is meant.
    assert said(ledger.post(f"{CHECKOUT}/looks", {"sequence": 2}, "somebody-else-0123456789", x_slipway_authorization=f"Bearer {operator}")) == (
        401,
        "token",
    )


def test_a_token_for_another_audience_is_good_for_nothing(start: Start, shops: Kube) -> None:
    ledger = start()
    for audience in ("other", ISSUER):
        token = accounts.token(shops, "shop", "slipway-router", audience=audience)
        assert said(ledger.post("/v1/exposures", exposure("ada"), token)) == (401, "token")


def test_a_token_that_was_changed_is_good_for_nothing(start: Start, shops: Kube) -> None:
    ledger = start()
    head, claims, signature = accounts.token(shops, "shop", "slipway-router").split(".")
    others = accounts.token(shops, SYSTEM, "slipway-operator").split(".")[1]
    for spoiled in (f"{head}.{claims}.{signature[::-1]}", f"{head}.{others}.{signature}"):
        assert said(ledger.post("/v1/exposures", exposure("ada"), spoiled)) == (401, "token")
    assert ledger.metric('reviews_total{result="no"}') == 2


def test_a_token_of_a_deleted_account_is_good_for_no_longer_than_its_review(start: Start, shops: Kube) -> None:
    ledger = start()
    accounts.make(shops, "shop", "leaver")
    token = accounts.token(shops, "shop", "leaver")
    assert ledger.post("/v1/outcomes", outcome("ada"), token).status == http.HTTPStatus.OK
    accounts.delete(shops, "shop", "leaver")
    eventually(lambda: said(ledger.post("/v1/outcomes", outcome("ada"), token)) == (401, "token"), within_s=30)


def test_a_token_of_a_pod_that_has_gone_is_good_for_nothing(start: Start, shops: Kube) -> None:
    ledger = start()
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web"},
        "spec": {"serviceAccountName": "web", "containers": [{"name": "web", "image": "web"}]},
    }
    made = shops.request("POST", "/api/v1/namespaces/shop/pods", body=pod)
    token = accounts.token(shops, "shop", "web", pod=("web", made["metadata"]["uid"]))
    assert ledger.post("/v1/outcomes", outcome("ada"), token).status == http.HTTPStatus.OK
    shops.request("DELETE", "/api/v1/namespaces/shop/pods/web?gracePeriodSeconds=0")
    eventually(lambda: said(ledger.post("/v1/outcomes", outcome("ada"), token)) == (401, "token"), within_s=30)


def test_a_ledger_that_may_not_ask_says_so(start: Start, shops: Kube, tmp_path: Path) -> None:
    own = tmp_path / "nobody"
    own.write_text(accounts.token(shops, SYSTEM, "nobody", audience=ISSUER))
    ledger = start(kube_token_file=own)

    answer = ledger.post("/v1/exposures", exposure("ada"), accounts.token(shops, "shop", "slipway-router"))

    assert (*said(answer), answer.headers["retry-after"]) == (503, "review", "1")
    assert "answers 403: give the ledger's account the ClusterRole system:auth-delegator" in ledger.log


def test_an_api_server_of_another_authority_is_not_believed(start: Start, shops: Kube, tmp_path: Path) -> None:
    ledger = start(kube_authority_file=Authority(tmp_path / "other").certificate)
    assert said(ledger.post("/v1/exposures", exposure("ada"), accounts.token(shops, "shop", "slipway-router"))) == (503, "review")
    assert "certificate verify failed" in ledger.log


def test_an_api_server_that_is_away_is_no_yes(start: Start, shops: Kube) -> None:
    ledger = start(kube_server=f"https://127.0.0.1:{free_port()}")
    token = accounts.token(shops, "shop", "slipway-router")
    for _ in range(2):
        answer = ledger.post("/v1/exposures", exposure("ada"), token)
        assert (*said(answer), answer.headers["retry-after"]) == (503, "review", "1")
    assert ledger.metric('reviews_total{result="failed"}') == 2


def test_an_api_server_that_hangs_keeps_nobody_waiting_whose_token_is_known(start: Start, shops: Kube) -> None:
    tokens = [accounts.token(shops, "shop", "web") for _ in range(reviews.MOST_UNDER_WAY + 8)]
    with socket.create_server(("127.0.0.1", 0), backlog=128) as silent, ThreadPoolExecutor(200) as askers:
        ledger = start(kube_server=f"https://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        asking = [askers.submit(ledger.post, "/v1/outcomes", outcome("ada"), token) for token in tokens]
        eventually(lambda: sum(answer.done() for answer in asking) == 8)  # more than may be under way
        waiting = next(token for token, answer in zip(tokens, asking, strict=True) if not answer.done())
        asking += [askers.submit(ledger.post, "/v1/outcomes", outcome("ada"), waiting) for _ in range(app.MOST_UNDER_WAY + 8)]
        time.sleep(0.5)  # until they wait, which nothing tells
        assert ledger.post("/v1/exposures", exposure("ada"), ADMIN).status == http.HTTPStatus.OK
        known_s = time.monotonic() - began
        assert {said(answer.result()) for answer in asking} == {(503, "review")}
        assert known_s < time.monotonic() - began < 8
    assert known_s < 3


async def test_an_expired_token_is_good_for_nothing(server: ApiServer, shops: Kube, plane: ControlPlane) -> None:
    """The API server makes none for less than ten minutes: this one is signed with its key."""
    _, claims, _ = accounts.token(shops, "shop", "web").split(".")
    body = json.loads(base64.urlsafe_b64decode(claims + "=="))
    expired = {name: body[name] - 7200 if name in ("exp", "iat", "nbf") else body[name] for name in body}
    key = plane.kubeconfig.parent / "service-accounts.key"

    assert await server.review(signed(body, key)) == Account(namespace="shop", name="web")
    assert await server.review(signed(expired, key)) is None


def signed(claims: dict[str, Any], key: Path) -> str:
    """A JSON Web Token (RFC 7515), signed with an elliptic curve key (RFC 7518, ES256): two whole numbers of 32 bytes, which openssl packs as DER."""
    what = ".".join(encoded(json.dumps(part).encode()) for part in ({"alg": "ES256", "typ": "JWT"}, claims))
    packed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=what.encode(), capture_output=True, check=True).stdout
    first = packed[4 : 4 + packed[3]]
    second = packed[4 + packed[3] + 2 :]
    numbers = (int.from_bytes(number, "big").to_bytes(32, "big") for number in (first, second))
    return f"{what}.{encoded(b''.join(numbers))}"


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")
