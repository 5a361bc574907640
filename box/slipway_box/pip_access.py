"""How the pip inside an image build reaches a package index: as the machine's own pip does.

Nothing of it becomes part of an image: a pip.conf and the certificates are mounted while a build runs.
"""

import ast
import configparser
import contextlib
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

CARRIED = frozenset({"index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout", "retries"})
"""Settings that mean the same inside the build. Folders of wheels do not: they are not there."""

CONFIGURATION = "/etc/pip.conf"
CERTIFICATES = "/etc/pip-certificates.pem"


@contextlib.contextmanager
def mounts() -> Iterator[Mapping[Path, str]]:
    """Files of this machine and where to mount them, read-only, in the build. Deleted afterwards: an index may want a password."""
    settings = _settings()
    inside = {name: value for name, value in settings.items() if name in CARRIED}
    with tempfile.TemporaryDirectory(prefix="slipway-pip-") as folder:
        written: dict[Path, str] = {}
        certificates = Path(settings.get("cert", ""))
        if certificates.is_file():
            inside["cert"] = CERTIFICATES
            written[certificates.resolve()] = CERTIFICATES
        configuration = Path(folder) / "pip.conf"
        configuration.write_text(configuration_file(inside), encoding="utf-8")
        written[configuration] = CONFIGURATION
        yield written


def configuration_file(settings: Mapping[str, str]) -> str:
    """The text of a pip.conf."""
    parser = configparser.RawConfigParser()
    parser["global"] = dict(settings)
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()


def listed(output: str) -> dict[str, str]:
    r"""What ``pip config list`` prints, as settings; a setting from the environment wins over one from a file.

    ``"global.timeout='60'\n:env:.timeout='180'"`` -> ``{"timeout": "180"}``
    """
    found: dict[str, str] = {}
    for from_environment in (False, True):
        for line in output.splitlines():
            name, separator, value = line.partition("=")
            section, _, key = name.rpartition(".")
            if separator and (section == ":env:") is from_environment:
                found[key] = str(ast.literal_eval(value))
    return found


def _settings() -> dict[str, str]:
    asked = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    if asked.returncode == 0:
        return listed(asked.stdout)
    # Debian's python3 comes without pip: then the environment is all there is.
    prefix = "PIP_"
    return {name.removeprefix(prefix).lower().replace("_", "-"): value for name, value in os.environ.items() if name.startswith(prefix)}
