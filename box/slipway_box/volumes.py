"""Storage for claims: a fixed number of folders of this machine, so that any claim in any namespace binds."""

import json
import shutil
from pathlib import Path
from typing import Any

from slipway_box.api import Api
from slipway_box.kubectl import Kubectl
from slipway_box.site import Site

STORAGE_CLASS = "box"
COUNT = 17
"""One is the ledger's for as long as the box lives, sixteen are for models."""
SIZE = "10Gi"
"""Of each, in words: a folder has no end of its own, and a claim binds where the volume is at least as large."""
_PATH = "/api/v1/persistentvolumes"
_USED_UP = ("Released", "Failed")


def objects(site: Site) -> list[dict[str, Any]]:
    """The default StorageClass and its volumes.

    Binding is immediate: with one node there is nothing to wait for, and a claim that nobody mounts yet shows up as Bound.
    """
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": STORAGE_CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "Immediate",
        "reclaimPolicy": "Retain",
    }
    return [storage_class, *(_volume(site, name) for name in names())]


def names() -> list[str]:
    """box-00 to box-16."""
    return [f"box-{number:02}" for number in range(COUNT)]


def prepare(site: Site) -> None:
    """Make the folders; anybody may write there, because pods run as any user."""
    for name in names():
        folder = _folder(site, name)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)


def recycle(site: Site, kubectl: Kubectl) -> list[str]:
    """Empty the volumes whose claim is gone and offer them again; their names."""
    used_up = [volume["metadata"]["name"] for volume in Api(site).items(_PATH) if volume["status"].get("phase") in _USED_UP]
    recycled = [name for name in used_up if name in names()]
    for name in recycled:
        _empty(_folder(site, name))
        kubectl.run("patch", "persistentvolume", name, "--type=merge", f"--patch={json.dumps({'spec': {'claimRef': None}})}")
    return recycled


def _volume(site: Site, name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "storageClassName": STORAGE_CLASS,
            "capacity": {"storage": SIZE},
            "accessModes": ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(_folder(site, name)), "type": "DirectoryOrCreate"},
        },
    }


def _folder(site: Site, name: str) -> Path:
    return site.state / "volumes" / name


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o777)
