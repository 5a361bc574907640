"""Where the API server is and how to prove who we are: a pod's service account, or a kubeconfig."""

import base64
import binascii
import contextlib
import os
import ssl
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from slipway_operator import errors

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_LIFETIME_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """One way in. At most one of each ``*_path``/``*_data`` pair is set; data are PEM text. Secrets stay out of ``repr``."""

    server: str
    """``https://host:port``, without a slash at the end."""
    namespace: str = "default"
    """The pod's own namespace, or the context's."""
    ca_path: Path | None = None
    ca_data: str | None = None
    certificate_path: Path | None = None
    certificate_data: str | None = field(default=None, repr=False)
    key_path: Path | None = None
    key_data: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    """A fixed bearer token."""
    token_path: Path | None = None
    """A bearer token that is replaced on disk while we run; read again every minute."""
    proxy_url: str | None = field(default=None, repr=False)
    insecure: bool = False
    """The server's certificate is not checked, as the kubeconfig asks."""

    def ssl_context(self) -> ssl.SSLContext:
        """A client context: checks the server against the CA, shows the client certificate."""
        try:
            context = ssl.create_default_context(cafile=self.ca_path, cadata=self.ca_data)
            if self.insecure:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            with contextlib.ExitStack() as files:
                certificate = self.certificate_path or _as_file(self.certificate_data, files)
                if certificate:
                    context.load_cert_chain(certificate, self.key_path or _as_file(self.key_data, files))
        except OSError as cause:  # ssl.SSLError is one
            raise errors.CredentialsError(f"the certificates for {self.server} cannot be used: {cause}") from cause
        return context


class Bearer:
    """The Authorization header of credentials, with a token file read again once a minute."""

    def __init__(self, credentials: Credentials, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = credentials.token_path
        self._token = credentials.token
        self._clock = clock
        self._expires = 0.0 if self._path else float("inf")

    def headers(self) -> dict[str, str]:
        """``{"Authorization": "Bearer …"}``, or nothing when a client certificate is all there is.

        A token file that cannot be read leaves the last token in use; CredentialsError where there has been none.
        """
        if self._path and self._clock() >= self._expires:
            self._token = _read_token(self._path) or self._token
            self._expires = self._clock() + TOKEN_LIFETIME_S
            if not self._token:
                raise errors.CredentialsError(f"{self._path} holds no token")
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def expire(self) -> None:
        """Read the file again at the next call: the server has refused what we have."""
        if self._path:
            self._expires = 0.0


def load(kubeconfig: Path | None = None, *, environment: Mapping[str, str] = os.environ, service_account: Path = SERVICE_ACCOUNT) -> Credentials:
    """The credentials of ``kubeconfig`` (its current-context).

    Without one: the pod's service account where there is one, else the first file of ``$KUBECONFIG``, else ``~/.kube/config``.
    Raises CredentialsError, also for ``exec`` and auth-provider plugins, which are not run.
    """
    if kubeconfig:
        return _from_kubeconfig(kubeconfig)
    if environment.get("KUBERNETES_SERVICE_HOST") and (service_account / "token").exists():
        return _in_cluster(environment, service_account)
    named = [Path(path) for path in environment.get("KUBECONFIG", "").split(os.pathsep) if path]
    for path in named or [Path.home() / ".kube" / "config"]:
        if path.exists():
            return _from_kubeconfig(path)
    raise errors.CredentialsError("no way to reach an API server: this is not a pod, $KUBECONFIG names no file, ~/.kube/config is not there")


def _in_cluster(environment: Mapping[str, str], service_account: Path) -> Credentials:
    host = environment["KUBERNETES_SERVICE_HOST"]
    port = environment.get("KUBERNETES_SERVICE_PORT", "443")
    namespace = service_account / "namespace"
    return Credentials(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        namespace=namespace.read_text().strip() if namespace.exists() else "default",
        ca_path=service_account / "ca.crt",
        token_path=service_account / "token",
    )


def _from_kubeconfig(path: Path) -> Credentials:
    return _Kubeconfig(path).credentials()


class _Kubeconfig:
    """One kubeconfig file and the entries its current-context points at."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._document: Any = yaml.safe_load(path.read_text())
        except (OSError, yaml.YAMLError) as cause:
            self._fail(f"it cannot be read ({type(cause).__name__})")
        if not isinstance(self._document, dict):
            self._fail("it is not a kubeconfig")

    def credentials(self) -> Credentials:
        current = self._document.get("current-context") or self._fail("it has no current-context")
        context = self._entry("contexts", "context", current)
        cluster = self._entry("clusters", "cluster", context.get("cluster"))
        user = self._entry("users", "user", context.get("user"))
        self._refuse(cluster, user)
        token_path = self._file(user, "tokenFile")
        return Credentials(
            server=str(cluster.get("server") or self._fail("its cluster has no server")).rstrip("/"),
            namespace=context.get("namespace") or "default",
            ca_data=self._data(cluster, "certificate-authority-data"),
            ca_path=self._file(cluster, "certificate-authority"),
            certificate_data=self._data(user, "client-certificate-data"),
            certificate_path=self._file(user, "client-certificate"),
            key_data=self._data(user, "client-key-data"),
            key_path=self._file(user, "client-key"),
            token_path=token_path,
            token=None if token_path else user.get("token"),
            proxy_url=cluster.get("proxy-url"),
            insecure=bool(cluster.get("insecure-skip-tls-verify")),
        )

    def _refuse(self, cluster: Mapping[str, Any], user: Mapping[str, Any]) -> None:
        """Say what is not supported rather than connect as somebody else, or not at all."""
        for key in ("exec", "auth-provider"):
            if key in user:
                self._fail(f"its user logs in by the plugin '{key}', which Slipway does not run; give it a token or a client certificate")
        for key in ("username", "as", "as-uid", "as-groups"):
            if key in user:
                self._fail(f"its user sets '{key}', which Slipway does not support; give it a token or a client certificate")
        if "tls-server-name" in cluster:
            self._fail("its cluster sets 'tls-server-name', which Slipway does not support; use a server address that the certificate names")

    def _entry(self, section: str, field_name: str, name: object) -> Mapping[str, Any]:
        for entry in self._document.get(section) or ():
            if entry.get("name") == name:
                return entry.get(field_name) or {}
        return self._fail(f"{section} has no entry '{name}'")

    def _file(self, entry: Mapping[str, Any], key: str) -> Path | None:
        """The path at ``key``, relative to the kubeconfig's folder; None where inline data win over it, as kubectl has it."""
        if not entry.get(key) or entry.get(f"{key}-data"):
            return None
        return self._path.parent / str(entry[key])

    def _data(self, entry: Mapping[str, Any], key: str) -> str | None:
        if not entry.get(key):
            return None
        try:
            return base64.b64decode(entry[key], validate=True).decode("ascii")
        except (binascii.Error, UnicodeDecodeError):
            return self._fail(f"'{key}' is not base64 of PEM text")

    def _fail(self, what: str) -> NoReturn:
        raise errors.CredentialsError(f"kubeconfig {self._path}: {what}")


def _read_token(path: Path) -> str | None:
    try:
        return path.read_text().strip() or None
    except OSError:
        return None


def _as_file(pem: str | None, files: contextlib.ExitStack) -> Path | None:
    """A file that holds ``pem`` as long as ``files`` is open: ssl reads certificates from files only."""
    if pem is None:
        return None
    file = files.enter_context(tempfile.NamedTemporaryFile("w", suffix=".pem"))  # noqa: SIM115
    file.write(pem)
    file.flush()
    return Path(file.name)
