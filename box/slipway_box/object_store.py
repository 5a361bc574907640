"""An S3 server on a plain folder, for model stores: versitygw, built when first asked for."""

import json
import secrets
from dataclasses import dataclass

from slipway_box import certificates
from slipway_box.component import Component
from slipway_box.extras import Extra
from slipway_box.probe import Http
from slipway_box.site import Site

NAME = "object-store"
PORT = 7070
REGION = "us-east-1"
PROGRAM = Extra(name="versitygw", module="s3", package="github.com/versity/versitygw/cmd/versitygw", usual_s=120)


@dataclass(frozen=True)
class Keys:
    """What a client signs its requests with."""

    access_key: str
    secret_key: str


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
