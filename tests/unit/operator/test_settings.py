"""Settings from the environment."""

import dataclasses
import inspect
import re

import pytest

from slipway_operator import settings
from slipway_operator.settings import Settings, SettingsError

NEEDED = {"SLIPWAY_RUNTIMES": "slipway-triton=slipway-triton-1"}


def test_only_the_runtimes_have_no_default() -> None:
    read = Settings.from_environment({**NEEDED, "HOME": "/x", "SLIPWAYS": "not ours"})

    assert read == Settings(runtimes={"slipway-triton": "slipway-triton-1"})


def test_every_setting_can_be_given() -> None:
    read = Settings.from_environment(
        {
            "SLIPWAY_RUNTIMES": "a=a-1, b = b-2",
            "SLIPWAY_NAMESPACE": "shop",
            "SLIPWAY_TRANSFORMER_IMAGE": "a/transformer:1",
            "SLIPWAY_LEASE_NAMESPACE": "system",
            "SLIPWAY_LEASE_NAME": "other",
            "SLIPWAY_LEASE_SECONDS": "5",
            "SLIPWAY_WORKERS": "3",
            "SLIPWAY_DRAIN_SECONDS": "0.5",
            "SLIPWAY_ROUTE_SECONDS": "0",
            "SLIPWAY_POLL_SECONDS": "1",
            "SLIPWAY_RESYNC_SECONDS": "60",
            "SLIPWAY_PROBE_HOST": "127.0.0.1",
            "SLIPWAY_PROBE_PORT": "9000",
            "SLIPWAY_METRICS_PORT": "9001",
            "SLIPWAY_LOG_LEVEL": "debug",
            "SLIPWAY_KUBECONFIG": "/etc/kube",
        }
    )

    assert read == Settings(
        runtimes={"a": "a-1", "b": "b-2"},
        namespace="shop",
        transformer_image="a/transformer:1",
        lease_namespace="system",
        lease_name="other",
        lease_seconds=5.0,
        workers=3,
        drain_seconds=0.5,
        route_seconds=0.0,
        poll_seconds=1.0,
        resync_seconds=60.0,
        probe_host="127.0.0.1",
        probe_port=9000,
        metrics_port=9001,
        log_level="DEBUG",
        kubeconfig="/etc/kube",
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "SLIPWAY_RUNTIMES is not set"),
        ({"SLIPWAY_RUNTIMES": "slipway-triton"}, "FAMILY=NAME"),
        ({"SLIPWAY_RUNTIMES": "=x"}, "FAMILY=NAME"),
        (NEEDED | {"SLIPWAY_WORKERS": "0"}, "SLIPWAY_WORKERS is '0': it should be at least 1."),
        (NEEDED | {"SLIPWAY_WORKERS": "many"}, "SLIPWAY_WORKERS is 'many'"),
        (NEEDED | {"SLIPWAY_DRAIN_SECONDS": "-1"}, "it should not be negative"),
        (NEEDED | {"SLIPWAY_LEASE_SECONDS": "0.5"}, "it should be at least 1"),
        (NEEDED | {"SLIPWAY_LOG_LEVEL": "LOUD"}, "one of DEBUG, INFO"),
        (NEEDED | {"SLIPWAY_DRAIN": "1"}, "SLIPWAY_DRAIN: no such setting; there are SLIPWAY_DRAIN_SECONDS,"),
    ],
)
def test_what_does_not_fit_is_told_with_the_name_of_the_variable(given: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(told)):
        Settings.from_environment(given)


def test_every_setting_is_explained() -> None:
    source = inspect.getsource(settings.Settings)

    unexplained = [field.name for field in dataclasses.fields(Settings) if f"    {field.name}: " not in source or not _explained(source, field.name)]

    assert unexplained == []


def _explained(source: str, name: str) -> bool:
    after = source.split(f"    {name}: ", 1)[1].split("\n", 1)[1]
    return after.lstrip().startswith('"""')


def test_variables_that_kubernetes_makes_for_services_are_nobodys_mistake() -> None:
    links = {
        "SLIPWAY_LEDGER_SERVICE_HOST": "10.96.0.9",
        "SLIPWAY_LEDGER_PORT_8080_TCP": "tcp://10.96.0.9:8080",
        "SLIPWAY_LEDGER_PORT": "tcp://10.96.0.9:8080",
    }
    read = settings.Settings.from_environment({"SLIPWAY_RUNTIMES": "a=b", "SLIPWAY_LEDGER_URL": "http://ledger:8080", **links})
    assert read.ledger_url == "http://ledger:8080"
