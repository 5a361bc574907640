"""What the agent is told through its environment."""

import dataclasses
import inspect
import re
from pathlib import Path

import pytest

from slipway_router.agent import credentials, settings
from slipway_router.agent.credentials import Bearer, Credentials, CredentialsError
from slipway_router.agent.settings import Settings
from slipway_service.variables import SettingsError

NEEDED = {"SLIPWAY_ROUTER_NAME": "slipway-router"}


def test_only_the_name_has_no_default() -> None:
    assert Settings.from_environment(NEEDED | {"HOME": "/x", "SLIPWAY_NAMESPACE": ""}) == Settings(router_name="slipway-router")


def test_every_setting_can_be_given() -> None:
    given = Settings(
        router_name="ranker-router",
        namespace="shop",
        kubeconfig="/etc/kube",
        agent_host="127.0.0.1",
        agent_port=0,
        nginx_socket="/tmp/nginx",
        agent_socket="/tmp/agent",
        tables_file="/tmp/tables",
        exposures_file="/tmp/exposures",
        exposures_bytes=1024,
        exposures_files=2,
        ledger_url="http://[fd00::1]:8080",
        ledger_token_file="/tmp/token",
        api_patience_seconds=0.0,
        take_seconds=0.5,
        drain_seconds=1.5,
        shadow_bytes=2048,
        shadow_concurrency=1,
        shadow_timeout_seconds=3.0,
        pod_port=8081,
        log_level="DEBUG",
    )
    environment = {f"SLIPWAY_{name.upper()}": str(value) for name, value in vars(given).items()}

    assert Settings.from_environment(environment) == given


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "SLIPWAY_ROUTER_NAME is not set: name the router"),
        ({"SLIPWAY_ROUTER_NAME": "a,b"}, "SLIPWAY_ROUTER_NAME is 'a,b': it should be a name of Kubernetes"),
        (NEEDED | {"SLIPWAY_NAMESPACE": "shop/"}, "SLIPWAY_NAMESPACE is 'shop/': it should be a name"),
        (NEEDED | {"SLIPWAY_AGENT_PORT": "http"}, "SLIPWAY_AGENT_PORT is 'http': it should be a whole number from 0 to 65535."),
        (NEEDED | {"SLIPWAY_AGENT_PORT": "70000"}, "SLIPWAY_AGENT_PORT is '70000': it should be a whole number from 0 to 65535."),
        (NEEDED | {"SLIPWAY_EXPOSURES_BYTES": "9"}, "SLIPWAY_EXPOSURES_BYTES is '9': it should be a whole number, at least 1024."),
        (NEEDED | {"SLIPWAY_SHADOW_CONCURRENCY": "0"}, "SLIPWAY_SHADOW_CONCURRENCY is '0': it should be a whole number from 1"),
        (NEEDED | {"SLIPWAY_DRAIN_SECONDS": "soon"}, "SLIPWAY_DRAIN_SECONDS is 'soon': it should be a number of seconds"),
        (NEEDED | {"SLIPWAY_DRAIN_SECONDS": "-1"}, "SLIPWAY_DRAIN_SECONDS is '-1': it should be a number of seconds, at least 0."),
        (NEEDED | {"SLIPWAY_TAKE_SECONDS": "0"}, "SLIPWAY_TAKE_SECONDS is '0': it should be a number of seconds, at least 0.05."),
        (NEEDED | {"SLIPWAY_TAKE_SECONDS": "nan"}, "SLIPWAY_TAKE_SECONDS is 'nan'"),
        (NEEDED | {"SLIPWAY_LEDGER_URL": "ledger:8080"}, "SLIPWAY_LEDGER_URL is 'ledger:8080': it should be an address without a path"),
        (NEEDED | {"SLIPWAY_LEDGER_URL": "http://ledger/v1"}, "SLIPWAY_LEDGER_URL is 'http://ledger/v1': it should be"),
        (NEEDED | {"SLIPWAY_LOG_LEVEL": "LOUD"}, "SLIPWAY_LOG_LEVEL is 'LOUD': it should be one of DEBUG, INFO"),
        ({"SLIPWAY_LOG_LEVEL": "LOUD", "SLIPWAY_AGENT_PORT": "x"}, "SLIPWAY_ROUTER_NAME is not set"),
        ({"SLIPWAY_LOG_LEVEL": "LOUD", "SLIPWAY_AGENT_PORT": "x"}, "SLIPWAY_AGENT_PORT is 'x'"),
        ({"SLIPWAY_LOG_LEVEL": "LOUD", "SLIPWAY_AGENT_PORT": "x"}, "SLIPWAY_LOG_LEVEL is 'LOUD'"),
    ],
)
def test_what_does_not_fit_is_told_with_the_name_of_the_variable(given: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(told)):
        Settings.from_environment(given)


def test_a_misspelt_setting_is_found_among_what_kubernetes_adds_for_services() -> None:
    environment = NEEDED | {
        "SLIPWAY_DRAIN_SECOND": "3",
        "SLIPWAY_ROUTER_PORT": "tcp://10.0.0.1:80",
        "SLIPWAY_ROUTER_PORT_80_TCP": "tcp://10.0.0.1:80",
        "SLIPWAY_ROUTER_PORT_80_TCP_ADDR": "10.0.0.1",
        "SLIPWAY_ROUTER_SERVICE_HOST": "10.0.0.1",
        "SLIPWAY_ROUTER_SERVICE_PORT_HTTP": "80",
    }

    assert settings.unknown(environment) == ["SLIPWAY_DRAIN_SECOND"]


def test_every_setting_is_explained() -> None:
    source = inspect.getsource(Settings)
    for field in dataclasses.fields(Settings):
        assert re.search(rf'    {field.name}: [^\n]*\n    """', source), field.name


def test_a_pod_finds_its_way_in_by_its_service_account(tmp_path: Path) -> None:
    for name, text in (("ca.crt", "authority"), ("namespace", "shop\n"), ("token", "t")):
        (tmp_path / name).write_text(text)
    environment = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}

    found = credentials.load(None, environment=environment, service_account=tmp_path)

    assert found == Credentials(server="https://[fd00::1]:6443", namespace="shop", authority="authority", token_path=tmp_path / "token")


def test_a_token_is_read_again_once_a_minute_and_when_the_server_refused_it(tmp_path: Path) -> None:
    now, path = [100.0], tmp_path / "token"
    bearer = Bearer(Credentials(server="https://x", token_path=path), clock=lambda: now[0])
    assert bearer.headers() == {}
    bearer.expire()
    path.write_text("one\n")
    assert bearer.headers() == {"Authorization": "Bearer one"}
    path.write_text("two\n")
    now[0] += 59
    assert bearer.headers() == {"Authorization": "Bearer one"}
    now[0] += 2
    assert bearer.headers() == {"Authorization": "Bearer two"}
    path.write_text("three")
    bearer.expire()
    assert bearer.headers() == {"Authorization": "Bearer three"}
    path.unlink()
    bearer.expire()
    assert bearer.headers() == {"Authorization": "Bearer three"}


@pytest.mark.parametrize(
    ("text", "told"),
    [(None, "cannot be read: No such file"), ("apiVersion: v1", "is not one that"), ("{}", "is not one that"), ("[]", "is not one that")],
)
def test_a_kubeconfig_that_cannot_be_used_is_told(tmp_path: Path, text: str | None, told: str) -> None:
    path = tmp_path / "kubeconfig"
    if text is not None:
        path.write_text(text)
    with pytest.raises(CredentialsError, match=told):
        credentials.load(str(path), environment={})


def test_without_pod_and_kubeconfig_there_is_no_way_in() -> None:
    with pytest.raises(CredentialsError, match="SLIPWAY_KUBECONFIG"):
        credentials.load(None, environment={})
    with pytest.raises(CredentialsError, match="service account"):
        credentials.load(None, environment={"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, service_account=Path("/nowhere"))
