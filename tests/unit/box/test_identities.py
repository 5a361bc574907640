"""Certificates and kubeconfigs, made by the real openssl."""

import json
import ssl
import subprocess
from pathlib import Path
from typing import Any

from slipway_box.certificates import Authority, Subject
from slipway_box.identities import Identities

NODE = Subject(user="system:node:box", groups=("system:nodes",), addresses=("10.244.0.1",), names=("box",))


def decoded(certificate: Path) -> str:
    shown = ["openssl", "x509", "-in", str(certificate), "-noout", "-subject", "-nameopt", "RFC2253", "-ext", "subjectAltName", "-dates"]
    return subprocess.run(shown, capture_output=True, text=True, check=True).stdout


def test_a_certificate_carries_user_groups_and_places(tmp_path: Path) -> None:
    pair = Authority(tmp_path).issue("node", NODE)
    text = decoded(pair.certificate)
    assert "subject=CN=system:node:box,O=system:nodes" in text
    assert "IP Address:10.244.0.1, DNS:box" in text


def test_its_authority_vouches_for_it(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("node", NODE)
    ssl.create_default_context(cafile=str(authority.certificate)).load_cert_chain(pair.certificate, pair.key)
    subprocess.run(["openssl", "verify", "-CAfile", str(authority.certificate), str(pair.certificate)], check=True, capture_output=True)


def test_a_certificate_is_made_once(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    first = authority.issue("node", NODE).certificate.read_bytes()
    assert authority.issue("node", NODE).certificate.read_bytes() == first


def test_and_again_when_it_is_for_somebody_else(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    first = authority.issue("node", NODE).certificate.read_bytes()
    assert authority.issue("node", Subject(user="other")).certificate.read_bytes() != first


def test_keys_can_be_read_by_their_owner_alone(tmp_path: Path) -> None:
    pair = Authority(tmp_path / "pki").issue("node", NODE)
    assert pair.key.stat().st_mode & 0o077 == 0


def test_a_kubeconfig_needs_no_other_file(tmp_path: Path) -> None:
    path = Identities(folder=tmp_path, server="https://10.244.0.1:6443").admin_kubeconfig()
    config: dict[str, Any] = json.loads(path.read_text())
    assert config["clusters"][0]["cluster"]["server"] == "https://10.244.0.1:6443"
    assert set(config["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}
    assert str(tmp_path) not in path.read_text()
