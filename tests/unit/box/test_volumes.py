"""The volumes, the network and the table of `box status`."""

from slipway_box import kubectl, network, status, volumes
from slipway_box.site import Site
from slipway_box.status import Row


def test_any_claim_binds(site: Site) -> None:
    storage_class, *offered = volumes.objects(site)
    assert storage_class["metadata"]["annotations"] == {"storageclass.kubernetes.io/is-default-class": "true"}
    assert [volume["metadata"]["name"] for volume in offered] == [f"box-{number:02}" for number in range(17)]
    assert offered[3]["spec"] == {
        "storageClassName": "box",
        "capacity": {"storage": "10Gi"},
        "accessModes": ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany"],
        "persistentVolumeReclaimPolicy": "Retain",
        "hostPath": {"path": f"{site.state}/volumes/box-03", "type": "DirectoryOrCreate"},
    }


def test_anybody_may_write_into_a_volume(site: Site) -> None:
    volumes.prepare(site)
    assert {folder.stat().st_mode & 0o777 for folder in (site.state / "volumes").iterdir()} == {0o777}


def test_the_rules_replace_themselves() -> None:
    lines = network.masquerading().splitlines()
    assert lines[:3] == ["add table ip slipway-box", "delete table ip slipway-box", "table ip slipway-box {"]


def test_leases_are_forgotten_with_the_machine(site: Site) -> None:
    (bridge,) = network.plugins(site)["plugins"]
    assert bridge["ipam"]["dataDir"] == f"{site.run}/cni"
    assert bridge["ipMasq"] is False


def test_the_table_is_aligned_and_summed() -> None:
    mib = 1024 * 1024
    rows = [
        Row(name="etcd", pid=7, healthy=True, memory_bytes=50 * mib),
        Row(name="kubelet", pid=None, healthy=False, memory_bytes=0, note="see `box logs kubelet`"),
    ]
    assert status.table(rows) == (
        "COMPONENT  PID  HEALTHY  MEMORY\n"
        "etcd       7    yes      50 MiB\n"
        "kubelet    -    NO       -       see `box logs kubelet`\n"
        "                         50 MiB"
    )


def test_json_objects_that_follow_each_other_are_told_apart() -> None:
    assert kubectl.documents('{"a": 1}\n{"b": {"c": []}}\n') == [{"a": 1}, {"b": {"c": []}}]
