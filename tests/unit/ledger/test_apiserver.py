"""What is sent to an API server, and what is made of answers that are none."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from slipway_box.certificates import Authority, Subject
from slipway_ledger.apiserver import ApiServer
from slipway_ledger.reviews import Account, Unreviewed

Serving = Callable[[bytes], AbstractAsyncContextManager[ApiServer]]
STATUS = {"authenticated": True, "audiences": ["slipway-ledger"], "user": {"username": "system:serviceaccount:shop:ada"}}
YES = json.dumps({"kind": "TokenReview", "status": STATUS}).encode()
CREATED = b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n" % len(YES) + YES
CHUNKED = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n" + YES[:5] + b"\r\n%x\r\n" % len(YES[5:]) + YES[5:] + b"\r\n0\r\n\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def serving(authority: Authority, tmp_path: Path) -> Serving:
    """Serves the same bytes to everybody, once they have asked; what was asked is in ``asked``."""
    pair = authority.issue("server", Subject(user="server", addresses=("127.0.0.1",)))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    own = tmp_path / "own"
    own.write_text("own-token\n")

    @asynccontextmanager
    async def served(answer: bytes) -> AsyncIterator[ApiServer]:
        async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(next(line.split()[1] for line in head.splitlines() if line.lower().startswith(b"content-length")))
            (tmp_path / "asked").write_bytes(head + await reader.readexactly(length))
            writer.write(answer)
            writer.close()

        server = await asyncio.start_server(answered, "127.0.0.1", 0, ssl=context)
        async with server:
            port = server.sockets[0].getsockname()[1]
            yield ApiServer(server=f"https://127.0.0.1:{port}", authority=authority.certificate, token=own, patience_s=2)

    return served


@pytest.mark.parametrize("answer", [CREATED, CHUNKED, CREATED.replace(b"201 Created", b"200 OK")], ids=["length", "chunked", "200"])
async def test_a_review_is_read_however_it_is_sent(serving: Serving, answer: bytes) -> None:
    async with serving(answer) as server:
        assert await server.review("their-token") == Account(namespace="shop", name="ada")


async def test_a_review_names_the_token_the_audience_and_who_asks(serving: Serving, tmp_path: Path) -> None:
    async with serving(CREATED) as server:
        await server.review("their-token")
    head, _, body = (tmp_path / "asked").read_bytes().partition(b"\r\n\r\n")
    assert head.startswith(b"POST /apis/authentication.k8s.io/v1/tokenreviews HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Bearer own-token\r\n" in head
    assert json.loads(body)["spec"] == {"token": "their-token", "audiences": ["slipway-ledger"]}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"", "cannot be asked"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "cannot be asked"),
        (CREATED[:-10], "cannot be asked: IncompleteRead"),
        (CHUNKED[:-20], "cannot be asked: IncompleteRead"),
        (CREATED + b" " * 300_000, "its answer is longer than 262144 bytes"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "answers 403: give the ledger's account the ClusterRole system:auth-delegator"),
        (b"HTTP/1.1 301 Moved\r\nLocation: https://elsewhere\r\n\r\n", "answers 301"),
        (b"HTTP/1.1 201 Created\r\n\r\nyes", "no TokenReview"),
    ],
)
async def test_an_answer_that_is_none_is_no_yes(serving: Serving, answer: bytes, told: str) -> None:
    async with serving(answer) as server:
        with pytest.raises(Unreviewed, match=told):
            await server.review("their-token")


async def test_a_certificate_for_another_host_is_not_believed(serving: Serving, authority: Authority) -> None:
    async with serving(CREATED) as server:
        other = ApiServer(server=server.server.replace("127.0.0.1", "localhost"), authority=server.authority, token=server.token)
        with pytest.raises(Unreviewed, match="certificate verify failed"):
            await other.review("their-token")


@pytest.mark.parametrize("missing", ["own", "ca.crt"])
async def test_a_file_that_is_not_there_is_told(authority: Authority, tmp_path: Path, missing: str) -> None:
    (tmp_path / "own").write_text("own-token")
    files = {"own": tmp_path / "own", "ca.crt": authority.certificate} | {missing: tmp_path / "nothing"}
    with pytest.raises(Unreviewed, match=r"cannot be asked: .*No such file"):
        await ApiServer(server="https://127.0.0.1:1", authority=files["ca.crt"], token=files["own"]).review("their-token")
