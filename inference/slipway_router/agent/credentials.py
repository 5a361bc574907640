"""Where the API server is and how to prove who we are: the pod's service account, or a kubeconfig for tests."""

import base64
import binascii
import contextlib
import json
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_LIFETIME_S = 60.0


class CredentialsError(Exception):
    """There is no way in; the message says what is missing and what to do."""


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """One way in. Certificates are PEM text; secrets stay out of ``repr``."""

    server: str
    """``https://host:port``, without a slash at the end."""
    namespace: str = "default"
    """The pod's own namespace, or the context's."""
    authority: str | None = None
    certificate: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    token_path: Path | None = None
    """A bearer token that is replaced on disk while we run."""

    def ssl_context(self) -> ssl.SSLContext:
        """A client context: checks the server against the CA, shows the client certificate."""
        try:
            context = ssl.create_default_context(cadata=self.authority)
            if self.certificate and self.key:
                with _as_file(self.certificate) as certificate, _as_file(self.key) as key:
                    context.load_cert_chain(certificate, key)
        except (OSError, ValueError) as cause:  # ssl.SSLError is an OSError
            raise CredentialsError(f"the certificates for {self.server} cannot be used: {cause}") from cause
        return context


class Bearer:
    """The Authorization header of credentials, with a token file read again once a minute."""

    def __init__(self, credentials: Credentials, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = credentials.token_path
        self._token = credentials.token or ""
        self._clock = clock
        self._expires = float("-inf")

    def headers(self) -> dict[str, str]:
        """``{"Authorization": "Bearer …"}``, or nothing without a token. A file that cannot be read leaves the last token in use."""
        if self._path and self._clock() >= self._expires:
            with contextlib.suppress(OSError):
                self._token = self._path.read_text().strip() or self._token
            self._expires = self._clock() + TOKEN_LIFETIME_S
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def expire(self) -> None:
        """Read the file again at the next call: the server has refused what we have."""
        self._expires = float("-inf")


def load(kubeconfig: str | None, *, environment: Mapping[str, str], service_account: Path = SERVICE_ACCOUNT) -> Credentials:
    """The credentials of ``kubeconfig``, or without one of the pod's service account. Raises CredentialsError."""
    if kubeconfig:
        return _from_kubeconfig(Path(kubeconfig))
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise CredentialsError("no way to reach an API server: this is not a pod; outside of one, SLIPWAY_KUBECONFIG names a kubeconfig")
    try:
        authority = (service_account / "ca.crt").read_text()
        namespace = (service_account / "namespace").read_text().strip()
    except OSError as cause:
        raise CredentialsError(f"{cause.filename} cannot be read ({cause.strerror}): the pod needs its service account's token mounted") from cause
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return Credentials(server=server, namespace=namespace, authority=authority, token_path=service_account / "token")


def _from_kubeconfig(path: Path) -> Credentials:
    """The current context of a kubeconfig that is JSON and carries its certificates inside: ``kubectl config view --raw --flatten -o json``."""
    try:
        document = json.loads(path.read_text())
        context = _entry(document, "contexts", "context", document["current-context"])
        cluster = _entry(document, "clusters", "cluster", context["cluster"])
        user = _entry(document, "users", "user", context["user"])
        return Credentials(
            server=cluster["server"].rstrip("/"),
            namespace=context.get("namespace") or "default",
            authority=_data(cluster, "certificate-authority-data"),
            certificate=_data(user, "client-certificate-data"),
            key=_data(user, "client-key-data"),
            token=user.get("token"),
        )
    except OSError as cause:
        raise CredentialsError(f"kubeconfig {path} cannot be read: {cause.strerror}") from cause
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as cause:
        raise CredentialsError(f"kubeconfig {path} is not one that 'kubectl config view --raw --flatten -o json' writes") from cause


def _entry(document: Mapping[str, Any], section: str, key: str, name: str) -> Mapping[str, Any]:
    return next(entry[key] for entry in (*document[section], {"name": name, key: {}}) if entry["name"] == name)


def _data(entry: Mapping[str, Any], key: str) -> str | None:
    return base64.b64decode(entry[key], validate=True).decode("ascii") if entry.get(key) else None


@contextlib.contextmanager
def _as_file(pem: str) -> Iterator[str]:
    """A file that holds ``pem`` for the length of the block: ssl reads certificates from files only."""
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(pem)
        file.flush()
        yield file.name
