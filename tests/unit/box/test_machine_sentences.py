"""What stands in the way is said in one sentence, with the way out."""

import pytest

from slipway_box import clusters, on_box, on_existing, on_kind, preflight
from slipway_box.errors import BoxError

DEBIAN_12 = {"ID": "debian", "VERSION_ID": "12", "PRETTY_NAME": "Debian GNU/Linux 12 (bookworm)"}


def test_root_is_asked_for() -> None:
    preflight.require_root(0)
    with pytest.raises(BoxError, match="run it again with sudo"):
        preflight.require_root(1000)


@pytest.mark.parametrize(
    ("system", "processor", "release"),
    [
        ("Darwin", "arm64", {}),
        ("Linux", "aarch64", DEBIAN_12),
        ("Linux", "x86_64", {"ID": "ubuntu", "VERSION_ID": "24.04", "PRETTY_NAME": "Ubuntu 24.04"}),
        ("Linux", "x86_64", DEBIAN_12 | {"VERSION_ID": "13"}),
    ],
)
def test_another_machine_is_sent_to_the_other_clusters(system: str, processor: str, release: dict[str, str]) -> None:
    with pytest.raises(BoxError, match=r"runs on Debian 12 on amd64.*CLUSTER=kind"):
        preflight.require_platform(system, processor, release)


def test_debian_12_will_do() -> None:
    preflight.require_platform("Linux", "x86_64", DEBIAN_12)


DROPPING = "table ip filter {\n chain FORWARD {\n  type filter hook forward priority filter; policy drop;\n"


def test_a_firewall_that_would_cut_off_the_pods_is_told_with_the_rules_that_help() -> None:
    with pytest.raises(BoxError, match="iptables -I FORWARD -i slipway0 -j ACCEPT"):
        preflight.require_forwarding(DROPPING)


@pytest.mark.parametrize("chain", ["", DROPPING.replace("drop", "accept"), DROPPING + '  iifname "slipway0" accept\n'])
def test_a_firewall_that_lets_the_pods_through_is_fine(chain: str) -> None:
    preflight.require_forwarding(chain)


@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        ({}, on_box.OnBox),
        ({"CLUSTER": ""}, on_box.OnBox),
        ({"CLUSTER": "box"}, on_box.OnBox),
        ({"CLUSTER": "kind"}, on_kind.OnKind),
        ({"CLUSTER": "existing"}, on_existing.OnExisting),
    ],
)
def test_the_cluster_is_the_one_that_was_named(environment: dict[str, str], kind: type) -> None:
    assert isinstance(clusters.chosen(environment), kind)


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(BoxError, match="CLUSTER=k3s names no cluster"):
        clusters.chosen({"CLUSTER": "k3s"})


def test_a_cluster_of_somebody_else_is_neither_loaded_nor_taken_down() -> None:
    existing = on_existing.OnExisting()
    with pytest.raises(BoxError, match="registry that the cluster can pull from"):
        existing.load("operator")
    with pytest.raises(BoxError, match="will not take down"):
        existing.down(caches=False)
