"""Everybody who speaks to the API server, with the certificate that proves it."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from slipway_box import certificates
from slipway_box.certificates import Authority, Pair, Subject

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Identities:
    """The certificates of one control plane, each made the first time it is asked for."""

    folder: Path
    server: str

    @property
    def authority(self) -> Authority:
        """Signs clients and servers alike."""
        return Authority(self.folder)

    @property
    def front_proxy(self) -> Authority:
        """Signs the API server's own client certificate towards extension API servers; apart, or any client could pose as it."""
        return Authority(self.folder, name="front-proxy-ca")

    def administrator(self) -> Pair:
        """May do everything."""
        return self.authority.issue("admin", Subject(user="admin", groups=("system:masters",)))

    def loopback(self) -> Pair:
        """Served by the components that listen on the loopback address only."""
        return self.authority.issue("loopback", Subject(user="loopback", addresses=(LOOPBACK,), names=("localhost",)))

    def service_account_key(self) -> Path:
        """Signs the tokens of service accounts."""
        return certificates.signing_key(self.folder / "service-accounts.key")

    def kubeconfig(self, name: str, *, user: str, groups: tuple[str, ...] = ()) -> Path:
        """The kubeconfig of a component that is ``user`` in ``groups``."""
        return self._written(name, self.authority.issue(name, Subject(user=user, groups=groups)))

    def admin_kubeconfig(self) -> Path:
        """The kubeconfig for people and tests."""
        return self._written("admin", self.administrator())

    def _written(self, name: str, pair: Pair) -> Path:
        path = self.folder / f"{name}.kubeconfig"
        text = kubeconfig(server=self.server, authority=self.authority.certificate, pair=pair, user=name)
        if not path.exists() or path.read_text() != text:
            with certificates.private(self.folder):
                path.write_text(text)
        return path


def kubeconfig(*, server: str, authority: Path, pair: Pair, user: str) -> str:
    """A kubeconfig as JSON, which is YAML too; certificates are inside it, so that the file can be handed on alone."""
    context = f"{user}@slipway-box"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "clusters": [{"name": "slipway-box", "cluster": {"server": server, "certificate-authority-data": _encoded(authority)}}],
        "contexts": [{"name": context, "context": {"cluster": "slipway-box", "user": user}}],
        "users": [
            {"name": user, "user": {"client-certificate-data": _encoded(pair.certificate), "client-key-data": _encoded(pair.key)}},
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
