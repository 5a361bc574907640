import base64
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from slipway_operator import errors
from slipway_operator.cluster import credentials
from slipway_operator.cluster.credentials import Bearer, Credentials


def kubeconfig(folder: Path, *, user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None) -> Path:
    """A valid kubeconfig, with what is given added to its user and its cluster."""
    document = {
        "current-context": "dev",
        "contexts": [{"name": "other", "context": {}}, {"name": "dev", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://10.0.0.1:6443/"} | (cluster or {})}],
        "users": [{"name": "u", "user": user or {}}],
    }
    path = folder / "config"
    path.write_text(yaml.safe_dump(document))
    return path


def test_the_current_context_is_read(tmp_path: Path) -> None:
    assert credentials.load(kubeconfig(tmp_path, user={"token": "t"})) == Credentials(server="https://10.0.0.1:6443", namespace="shop", token="t")


def test_files_are_relative_to_the_kubeconfig(tmp_path: Path) -> None:
    path = kubeconfig(
        tmp_path,
        cluster={"certificate-authority": "ca.crt", "proxy-url": "http://proxy:3128"},
        user={"client-certificate": "pki/me.crt", "client-key": "/abs/me.key"},
    )
    assert credentials.load(path) == Credentials(
        server="https://10.0.0.1:6443",
        namespace="shop",
        ca_path=tmp_path / "ca.crt",
        certificate_path=tmp_path / "pki/me.crt",
        key_path=Path("/abs/me.key"),
        proxy_url="http://proxy:3128",
    )


def test_inline_data_win_over_files_and_a_token_file_over_a_token(tmp_path: Path) -> None:
    pem = base64.b64encode(b"-----BEGIN X-----").decode()
    path = kubeconfig(
        tmp_path,
        cluster={"certificate-authority": "ca.crt", "certificate-authority-data": pem},
        user={"client-certificate": "a", "client-certificate-data": pem, "client-key-data": pem, "token": "t", "tokenFile": "token"},
    )
    assert credentials.load(path) == Credentials(
        server="https://10.0.0.1:6443",
        namespace="shop",
        ca_data="-----BEGIN X-----",
        certificate_data="-----BEGIN X-----",
        key_data="-----BEGIN X-----",
        token_path=tmp_path / "token",
    )


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "exec": ({"exec": {"command": "aws"}}, {}, "its user logs in by the plugin 'exec', which Slipway does not run"),
    "auth-provider": ({"auth-provider": {"name": "gcp"}}, {}, "the plugin 'auth-provider', which Slipway does not run"),
    "basic": ({"username": "me", "password": "hunter2"}, {}, "its user sets 'username', which Slipway does not support"),
    "impersonation": ({"as": "somebody", "token": "t"}, {}, "its user sets 'as', which Slipway does not support"),
    "server name": ({"token": "t"}, {"tls-server-name": "x"}, "its cluster sets 'tls-server-name'"),
    "bad data": ({"client-key-data": "%%hunter2%%"}, {}, "'client-key-data' is not base64 of PEM text"),
}


@pytest.mark.parametrize(("user", "cluster", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_supported_is_answered_with_one_sentence(tmp_path: Path, user: dict[str, Any], cluster: dict[str, Any], sentence: str) -> None:
    with pytest.raises(errors.CredentialsError) as caught:
        credentials.load(kubeconfig(tmp_path, user=user, cluster=cluster))
    assert sentence in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "- a", "{", "{current-context: dev}", "{contexts: []}"])
def test_a_broken_kubeconfig_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken"
    path.write_text(text)
    with pytest.raises(errors.CredentialsError, match=r"kubeconfig .*/broken: "):
        credentials.load(path)


def service_account(folder: Path) -> Path:
    for name, text in (("token", "first\n"), ("ca.crt", "pem"), ("namespace", "slipway-system\n")):
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(("host", "server"), [("10.96.0.1", "https://10.96.0.1:443"), ("fd00::1", "https://[fd00::1]:443")])
def test_a_pod_uses_its_service_account(tmp_path: Path, host: str, server: str) -> None:
    found = credentials.load(environment={"KUBERNETES_SERVICE_HOST": host}, service_account=service_account(tmp_path))
    assert found == Credentials(server=server, namespace="slipway-system", ca_path=tmp_path / "ca.crt", token_path=tmp_path / "token")


def test_outside_a_pod_the_first_kubeconfig_of_the_environment_is_used(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, user={"token": "t"})
    assert credentials.load(environment={"KUBECONFIG": f"/nowhere/config:{path}"}, service_account=tmp_path) == credentials.load(path)


def test_nothing_to_log_in_with_is_said(tmp_path: Path) -> None:
    with pytest.raises(errors.CredentialsError, match="no way to reach an API server"):
        credentials.load(environment={"KUBECONFIG": "/nowhere/config"}, service_account=tmp_path)


def test_a_token_file_is_read_again_every_minute(tmp_path: Path) -> None:
    now = 100.0
    path = tmp_path / "token"
    path.write_text("first\n")
    bearer = Bearer(Credentials(server="https://x", token_path=path), clock=lambda: now)
    assert bearer.headers() == {"Authorization": "Bearer first"}
    path.write_text("second")
    now += 59
    assert bearer.headers() == {"Authorization": "Bearer first"}
    now += 1
    assert bearer.headers() == {"Authorization": "Bearer second"}
    path.unlink()
    now += 60
    assert bearer.headers() == {"Authorization": "Bearer second"}


def test_a_refused_token_is_read_again_at_once(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("first")
    bearer = Bearer(Credentials(server="https://x", token_path=path), clock=lambda: 100.0)
    bearer.headers()
    path.write_text("second")
    bearer.expire()
    assert bearer.headers() == {"Authorization": "Bearer second"}


def test_a_token_that_was_never_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(errors.CredentialsError, match="holds no token"):
        Bearer(Credentials(server="https://x", token_path=tmp_path / "token")).headers()


def test_a_fixed_token_outlives_a_refusal_and_a_certificate_needs_no_header() -> None:
    bearer = Bearer(Credentials(server="https://x", token="t"))
    bearer.expire()
    assert bearer.headers() == {"Authorization": "Bearer t"}
    assert Bearer(Credentials(server="https://x")).headers() == {}


def test_secrets_stay_out_of_the_repr() -> None:
    shown = repr(Credentials(server="https://x", token="hunter2", key_data="hunter2", proxy_url="http://me:hunter2@proxy"))
    assert "hunter2" not in shown


def test_the_ssl_context_checks_the_server_unless_told_otherwise(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key", tmp_path / "crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-subj", "/CN=x"],
        check=True,
        capture_output=True,
    )
    inline = Credentials(server="https://x", ca_data=certificate.read_text(), certificate_data=certificate.read_text(), key_data=key.read_text())
    context = inline.ssl_context()
    assert (context.verify_mode, context.check_hostname, len(context.get_ca_certs())) == (ssl.CERT_REQUIRED, True, 1)
    assert Credentials(server="https://x", insecure=True).ssl_context().verify_mode is ssl.CERT_NONE


def test_certificates_that_cannot_be_used_are_said(tmp_path: Path) -> None:
    with pytest.raises(errors.CredentialsError, match="the certificates for https://x cannot be used"):
        Credentials(server="https://x", ca_path=tmp_path / "absent").ssl_context()
