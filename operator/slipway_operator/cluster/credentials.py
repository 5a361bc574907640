"""Where the API server is and how to prove who we are: a pod's service account, or a kubeconfig."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path


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
        raise NotImplementedError


class Bearer:
    """The Authorization header of credentials, with a token file read again once a minute."""

    def __init__(self, credentials: Credentials) -> None:
        raise NotImplementedError

    def headers(self) -> dict[str, str]:
        """``{"Authorization": "Bearer …"}``, or nothing when a client certificate is all there is."""
        raise NotImplementedError

    def expire(self) -> None:
        """Read the file again at the next call: the server has refused what we have."""
        raise NotImplementedError


def load(kubeconfig: Path | None = None) -> Credentials:
    """The credentials of ``kubeconfig`` (its current-context).

    Without one: the pod's service account where there is one, else the first file of ``$KUBECONFIG``, else ``~/.kube/config``.
    Raises CredentialsError, also for ``exec`` and auth-provider plugins, which are not run.
    """
    raise NotImplementedError
