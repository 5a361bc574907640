"""What a user reads when a model cannot be downloaded. KServe's library and boto3 are stood in for."""

import importlib.util
import logging
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from slipway_testing.golden import REPOSITORY

PAIR = ["s3://models/digits/7", "/mnt/models"]
REASON = "Failed to fetch model. No model found in digits/7."


class ConnectionError(Exception):  # noqa: A001 - botocore's name
    """Nobody answers."""


class SSLError(ConnectionError):
    """Somebody answers whom we do not trust."""


class HTTPClientError(Exception):
    """The answer breaks off."""


class BotoCoreError(Exception):
    """The request cannot even be made."""


class NoCredentialsError(BotoCoreError):
    """Nothing to sign with."""


class ClientError(Exception):
    """The store says no."""

    def __init__(self, code: str, message: str = "") -> None:
        self.response = {"Error": {"Code": code, "Message": message}}


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """What the stand-ins do: ``download`` and ``listing`` are called, or raised when they are exceptions."""
    acts = types.SimpleNamespace(download=None, listing={"KeyCount": 1})

    def act(what: Any) -> Any:
        if isinstance(what, Exception):
            raise what
        return what

    storage = types.SimpleNamespace(download_files=lambda _uris, _folders: act(acts.download), _get_s3_client_kwargs=dict)
    client = types.SimpleNamespace(list_objects_v2=lambda **_: act(acts.listing))
    errors = {error.__name__: error for error in (ConnectionError, SSLError, HTTPClientError, BotoCoreError, NoCredentialsError, ClientError)}
    given: dict[str, dict[str, Any]] = {
        "kserve_storage": {},
        "kserve_storage.kserve_storage": {"Storage": storage},
        "kserve_storage.logging": {"logger": logging.getLogger("storage.initializer")},
        "boto3": {"client": lambda *_, **__: client},
        "botocore": {"exceptions": types.SimpleNamespace(**errors)},
    }
    for name, members in given.items():
        module = types.ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    return acts


@pytest.fixture
def initializer(store: types.SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    path = REPOSITORY / "inference/storage_initializer/storage_initializer.py"
    spec = importlib.util.spec_from_file_location("storage_initializer", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "termination-log").touch()
    monkeypatch.setattr(module, "TERMINATION_LOG", tmp_path / "termination-log")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://store:7070")
    yield module
    module.logger.handlers.clear()
    module.logger.filters.clear()


@pytest.fixture
def told(initializer: types.ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run it with these arguments, make sure that it fails, and return the one line."""

    def run(*arguments: str) -> str:
        assert initializer.main(arguments) == 1
        last_words = (tmp_path / "termination-log").read_text()
        assert capsys.readouterr().err == f"{last_words}\n"
        return last_words

    return run


def test_success_says_what_lies_where(initializer: types.ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert initializer.main(PAIR) == 0
    assert capsys.readouterr().out == "Downloaded s3://models/digits/7 to /mnt/models.\n"


@pytest.mark.parametrize(
    ("listing", "problem"),
    [
        (ClientError("NoSuchBucket"), "the bucket does not exist at http://store:7070"),
        (ClientError("404"), "the bucket does not exist at http://store:7070"),
        (ClientError("InvalidAccessKeyId"), "http://store:7070 does not know this access key"),
        (ClientError("XAdminUserNotFound"), "http://store:7070 does not know this access key"),
        (ClientError("SignatureDoesNotMatch"), "the secret key does not belong to the access key"),
        (ClientError("AccessDenied"), "access denied: allow s3:ListBucket"),
        (ClientError("403"), "access denied: allow s3:ListBucket"),
        (ClientError("AuthorizationHeaderMalformed"), "the bucket is in another region"),
        (ClientError("SlowDown", "Reduce your rate"), "the store answered SlowDown (Reduce your rate)"),
        (NoCredentialsError(), "there are no credentials"),
        (SSLError(), "the certificate of http://store:7070 is not trusted"),
        (ConnectionError(), "http://store:7070 cannot be reached"),
        (HTTPClientError(), "http://store:7070 cannot be reached"),
        (ValueError("Invalid endpoint"), "http://store:7070 cannot be reached"),
        ({"KeyCount": 0}, "there is no object under this path"),
        ({"KeyCount": 1}, REASON.rstrip(".")),
        (BotoCoreError(), REASON.rstrip(".")),
    ],
    ids=lambda value: "" if isinstance(value, str) else repr(getattr(value, "response", value)),
)
def test_the_store_is_asked_for_the_reason(store: types.SimpleNamespace, told: Callable[..., str], listing: object, problem: str) -> None:
    store.download, store.listing = RuntimeError(REASON), listing
    assert told(*PAIR).startswith(f"The model at s3://models/digits/7 could not be downloaded: {problem}")


def test_a_full_disk_is_not_blamed_on_the_store(store: types.SimpleNamespace, told: Callable[..., str]) -> None:
    store.download = OSError(28, "No space left on device", "/mnt/models/model.onnx")
    assert told(*PAIR) == "The model at s3://models/digits/7 could not be downloaded: /mnt/models/model.onnx: No space left on device."


def test_other_stores_are_quoted_on_one_line(store: types.SimpleNamespace, told: Callable[..., str]) -> None:
    store.download = RuntimeError("GCS authentication failed.\nVerify the key.")
    assert told("gs://models/digits", "/mnt/models") == (
        "The model at gs://models/digits could not be downloaded: GCS authentication failed. Verify the key."
    )


def test_no_secret_is_shown(store: types.SimpleNamespace, told: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "geheim/1234")
    store.download = RuntimeError("geheim/1234: HTTPPool(host='h'): Max retries exceeded with url: /m?sig=abc (Caused by https://me:pw@h/m?sig=abc)")
    assert told("https://me:pw@h/m?sig=abc", "/mnt/models") == (
        "The model at https://h/m?… could not be downloaded: …: HTTPPool(host='h'): Max retries exceeded with url: /m?… (Caused by https://h/m?…)."
    )


def test_the_librarys_log_shows_no_secret_either(initializer: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(record.getMessage())

    initializer.logger.addHandler(Handler())
    initializer.main(PAIR)
    initializer.logger.error("Copying contents of %s to local", "https://me:pw@h/m?sig=abc")
    assert written == ["Copying contents of https://h/m?… to local"]


@pytest.mark.parametrize(("arguments", "given"), [((), "nothing"), (("s3://a/b",), "s3://a/b")])
def test_arguments_come_in_pairs(told: Callable[..., str], arguments: tuple[str, ...], given: str) -> None:
    assert told(*arguments) == f"The storage initializer takes pairs of a URI and a folder; it was given {given}."


def test_the_line_is_kept_short_enough_for_a_status(store: types.SimpleNamespace, told: Callable[..., str]) -> None:
    store.download = RuntimeError("x" * 10_000)
    assert len(told("gs://models/digits", "/mnt/models")) == 2000
