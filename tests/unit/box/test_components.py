"""What each program is started with."""

import json
from dataclasses import replace

import pytest

from slipway_box import apiserver, containerd, controllers, dns, etcd, kserve, kubelet, object_store, proxy, redis, scheduler
from slipway_box.component import Component
from slipway_box.programs import Programs
from slipway_box.site import Site

EVERYWHERE = "0.0.0.0"  # noqa: S104


def everything(site: Site, programs: Programs) -> list[Component]:
    site.state.mkdir(parents=True)
    return [
        etcd.component(site, programs),
        apiserver.component(site, programs),
        containerd.component(site, sandbox_image="docker.io/slipway/pause:1"),
        controllers.component(site, programs, controllers=controllers.OF_A_CLUSTER),
        scheduler.component(site, programs),
        kubelet.component(site, programs),
        proxy.component(site, programs),
        dns.component(site, programs),
        kserve.component(site, programs),
        object_store.component(site, "/programs/versitygw"),
        redis.component(site, "/usr/bin/redis-server"),
    ]


def test_every_command_line_is_found_again_by_a_folder_of_the_site(site: Site, programs: Programs) -> None:
    for component in everything(site, programs):
        assert any(str(site.state) in argument for argument in component.argv), component.name


def test_nothing_but_webhooks_listens_on_every_address(site: Site, programs: Programs) -> None:
    wide = {(component.name, port) for component in everything(site, programs) for address, port in component.listens if address == EVERYWHERE}
    assert wide == {("kserve-manager", site.ports.kserve_webhook)}


def test_no_two_components_want_the_same_port(site: Site, programs: Programs) -> None:
    wanted = [listen for component in everything(site, programs) for listen in component.listens]
    assert len(wanted) == len(set(wanted))


def test_etcd_stays_on_the_loopback_address(site: Site, programs: Programs) -> None:
    assert etcd.component(site, programs).argv == (
        "/programs/etcd",
        "--name=box",
        f"--data-dir={site.state}/etcd",
        "--listen-client-urls=http://127.0.0.1:1001",
        "--advertise-client-urls=http://127.0.0.1:1001",
        "--listen-peer-urls=http://127.0.0.1:1002",
        "--initial-advertise-peer-urls=http://127.0.0.1:1002",
        "--initial-cluster=box=http://127.0.0.1:1002",
        "--unsafe-no-fsync",
        "--log-level=warn",
    )


def test_an_api_server_that_pods_reach_is_published_to_them(site: Site, programs: Programs) -> None:
    argv = apiserver.component(site, programs).argv
    assert "--bind-address=10.244.0.1" in argv
    assert "--advertise-address=10.244.0.1" in argv


def test_an_api_server_on_loopback_is_not_published(site: Site, programs: Programs) -> None:
    argv = apiserver.component(replace(site, address="127.0.0.1"), programs).argv
    assert "--endpoint-reconciler-type=none" in argv
    assert not any(argument.startswith("--advertise-address") for argument in argv)


def test_a_control_plane_without_workload_controllers_makes_no_pods(site: Site, programs: Programs) -> None:
    argv = controllers.component(site, programs, controllers=controllers.WITHOUT_WORKLOADS).argv
    chosen = next(argument for argument in argv if argument.startswith("--controllers="))
    assert chosen == (
        "--controllers=garbage-collector-controller,namespace-controller,resourcequota-controller,"
        "serviceaccount-controller,serviceaccount-token-controller"
    )


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("failCgroupV1", False),
        ("failSwapOn", False),
        ("cgroupDriver", "cgroupfs"),
        ("cgroupRoot", "/slipway-box"),
        ("address", "10.244.0.1"),
        ("clusterDNS", ["10.96.0.10"]),
        ("imageGCHighThresholdPercent", 100),
    ],
)
def test_the_kubelet_is_set_up_for_this_kind_of_machine(site: Site, setting: str, value: object) -> None:
    assert kubelet.configuration(site)[setting] == value


def test_containerd_lives_in_the_folders_of_the_site(site: Site) -> None:
    text = containerd.configuration(site, sandbox_image="docker.io/slipway/pause:1")
    for line in (
        f'root = "{site.state}/containerd"',
        f'state = "{site.run}/containerd"',
        'sandbox_image = "docker.io/slipway/pause:1"',
        "restrict_oom_score_adj = true",
        "netns_mounts_under_state_dir = true",
        "SystemdCgroup = false",
    ):
        assert line in text.splitlines()


def test_kube_proxy_leaves_connection_tracking_as_it_is(site: Site) -> None:
    settings = proxy.configuration(site)
    assert settings["mode"] == "nftables"
    assert settings["conntrack"] == {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"}


def test_names_outside_the_cluster_are_asked_elsewhere_only_if_there_is_somebody_to_ask(site: Site) -> None:
    assert "forward" not in dns.configuration(site, upstream=None)
    assert "    forward . /etc/resolv.conf\n" in dns.configuration(site, upstream=dns._RESOLVERS)


def test_the_service_of_dns_has_no_selector_and_one_endpoint(site: Site) -> None:
    service, endpoints, *_ = dns.objects(site)
    assert "selector" not in service["spec"]
    assert endpoints["endpoints"] == [{"addresses": ["10.244.0.1"], "conditions": {"ready": True}}]


def test_a_changed_configuration_changes_the_fingerprint(site: Site, programs: Programs) -> None:
    component = proxy.component(site, programs)
    changed = replace(component, files={path: text + " " for path, text in component.files.items()})
    assert component.fingerprint() == proxy.component(site, programs).fingerprint()
    assert component.fingerprint() != changed.fingerprint()


def test_configuration_files_are_json_that_yaml_readers_take(site: Site, programs: Programs) -> None:
    (text,) = kubelet.component(site, programs).files.values()
    assert json.loads(text)["kind"] == "KubeletConfiguration"


def test_the_keys_of_the_object_store_stay_the_same(site: Site) -> None:
    site.state.mkdir(parents=True)
    assert object_store.keys(site) == object_store.keys(site)
