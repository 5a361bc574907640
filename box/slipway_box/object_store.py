"""An S3 server on a plain folder, for model stores: versitygw, built when first asked for."""

import hashlib
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from slipway_box import certificates, toolchain
from slipway_box.component import Component
from slipway_box.errors import BoxError
from slipway_box.layout import cache
from slipway_box.probe import Http
from slipway_box.programs import build_failure
from slipway_box.progress import step
from slipway_box.site import Site

NAME = "object-store"
PORT = 7070
REGION = "us-east-1"
MODULE = toolchain.MODULE / "s3"
_PACKAGE = "github.com/versity/versitygw/cmd/versitygw"


@dataclass(frozen=True)
class Keys:
    """What a client signs its requests with."""

    access_key: str
    secret_key: str


def build() -> str:
    """The program, built if it is not there."""
    go = toolchain.find()
    decided = [(MODULE / name).read_bytes() for name in ("go.mod", "go.sum")]
    made = cache() / "bin" / hashlib.sha256(b"\0".join([*decided, go.version.encode()])).hexdigest()[:16] / "versitygw"
    if made.exists():
        return str(made)
    made.parent.mkdir(parents=True, exist_ok=True)
    with step("building versitygw", usual_s=120):
        done = go.run("build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", f"{made}.new", _PACKAGE, folder=MODULE)
    if done.returncode:
        raise BoxError(build_failure("versitygw", done.stderr))
    Path(f"{made}.new").replace(made)
    return str(made)


def component(site: Site, program: str) -> Component:
    """The server, on the bridge address: pods reach it, other machines do not."""
    folder, own = site.state / "s3", keys(site)
    folder.mkdir(parents=True, exist_ok=True)
    return Component(
        name=NAME,
        argv=(program, "--port", f"{site.address}:{PORT}", "--health", "/health", "--region", REGION, "posix", str(folder)),
        environment={"ROOT_ACCESS_KEY": own.access_key, "ROOT_SECRET_KEY": own.secret_key},
        probe=Http(site.address, PORT, "/health"),
        listens=((site.address, PORT),),
    )


def keys(site: Site) -> Keys:
    """Made at the first start and kept with the data."""
    path = site.state / "s3-keys.json"
    if not path.exists():
        with certificates.private(site.state):
            path.write_text(json.dumps({"access_key": f"box{secrets.token_hex(8)}", "secret_key": secrets.token_urlsafe(30)}))
    return Keys(**json.loads(path.read_text()))


def described(site: Site) -> str:
    """Endpoint and keys, as the environment of the usual clients."""
    own = keys(site)
    return "\n".join(
        (
            f"AWS_ENDPOINT_URL=http://{site.address}:{PORT}",
            f"AWS_ACCESS_KEY_ID={own.access_key}",
            f"AWS_SECRET_ACCESS_KEY={own.secret_key}",
            f"AWS_DEFAULT_REGION={REGION}",
        )
    )
