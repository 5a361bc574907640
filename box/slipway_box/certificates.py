"""Certificates, made by the machine's own openssl.

Elliptic curve keys: one takes 10 ms where an RSA key takes a few hundred, and a test's control plane needs eight.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from slipway_box.errors import BoxError

VALID_DAYS = 3650
_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
# Without a configuration of its own, openssl reads the machine's and adds extensions that contradict ours.
_CONFIGURATION = "[req]\ndistinguished_name = subject\n[subject]\n"


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Subject:
    """Who a certificate speaks for, and where it may be served."""

    user: str
    groups: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def distinguished_name(self) -> str:
        """Kubernetes reads organizations as groups and the common name as the user."""
        return "".join(f"/O={group}" for group in self.groups) + f"/CN={self.user}"

    def extensions(self) -> list[str]:
        """The X.509 extensions, as openssl spells them."""
        alternatives = [f"IP:{address}" for address in self.addresses] + [f"DNS:{name}" for name in self.names]
        lines = ["basicConstraints=critical,CA:FALSE", "extendedKeyUsage=serverAuth,clientAuth"]
        return [*lines, f"subjectAltName={','.join(alternatives)}"] if alternatives else lines


@dataclass(frozen=True)
class Authority:
    """A certificate authority in a folder of its own; what it issues lies beside it."""

    folder: Path
    name: str = "ca"

    @property
    def certificate(self) -> Path:
        """What others verify against."""
        return self._own().certificate

    @property
    def key(self) -> Path:
        """What signs."""
        return self._own().key

    def issue(self, name: str, subject: Subject) -> Pair:
        """The pair ``name`` for ``subject``: made when it is missing or was made for somebody else."""
        pair, owner = self._pair(name), self.folder / f"{name}.subject"
        if owner.exists() and owner.read_text() == repr(subject) and pair.certificate.exists():
            return pair
        extensions = [part for line in subject.extensions() for part in ("-addext", line)]
        _request(pair, subject.distinguished_name(), "-CA", str(self.certificate), "-CAkey", str(self.key), *extensions)
        owner.write_text(repr(subject))
        return pair

    def _own(self) -> Pair:
        pair = self._pair(self.name)
        if not pair.certificate.exists():
            _request(pair, f"/CN=slipway-box-{self.name}", "-addext", "basicConstraints=critical,CA:TRUE")
        return pair

    def _pair(self, name: str) -> Pair:
        return Pair(certificate=self.folder / f"{name}.crt", key=self.folder / f"{name}.key")


def signing_key(path: Path) -> Path:
    """A private key for signing service account tokens; the API server takes its public half from the same file."""
    if not path.exists():
        with private(path.parent):
            _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(path))
    return path


@contextlib.contextmanager
def private(folder: Path) -> Iterator[None]:
    """Make ``folder``; what is written inside the block can be read by its owner alone."""
    before = os.umask(0o077)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        os.umask(before)


def _request(pair: Pair, distinguished_name: str, *more: str) -> None:
    folder = pair.certificate.parent
    with private(folder):
        configuration = folder / "openssl.cnf"
        configuration.write_text(_CONFIGURATION)
        made = folder / f"{pair.certificate.name}.new"
        _openssl(
            "req", "-x509", *_CURVE, "-config", str(configuration), "-days", str(VALID_DAYS), "-subj", distinguished_name,
            "-keyout", str(pair.key), "-out", str(made), *more,
        )  # fmt: skip
        made.replace(pair.certificate)


def _openssl(*arguments: str) -> None:
    try:
        done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise BoxError("The box makes its certificates with openssl, which is not installed: apt-get install openssl.") from error
    if done.returncode:
        raise BoxError(f"openssl {arguments[0]} failed (the box needs openssl 3): {done.stderr.strip().splitlines()[-1]}")
