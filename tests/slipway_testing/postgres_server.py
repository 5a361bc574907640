"""A PostgreSQL of a test's own, on a free loopback port, whose data lies in a temporary directory."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from slipway_box import packages, ports

_USER = "postgres"
"""The account that Debian's package makes: PostgreSQL does not run as root."""
_PROGRAMS = Path("/usr/lib/postgresql")


class PostgresServer:
    """Debian's PostgreSQL; a context manager that ends it. Each ``database()`` is a new, empty one."""

    def __init__(self) -> None:
        if not _PROGRAMS.is_dir():
            packages.need("postgresql", usual_s=60)
        self._programs = max(_PROGRAMS.iterdir(), key=lambda folder: float(folder.name)) / "bin"
        self._folder = Path(tempfile.mkdtemp(prefix="slipway-postgres-"))
        self._made = 0
        (self.port,) = ports.free(1)

    def __enter__(self) -> Self:
        if os.geteuid() == 0:
            account = pwd.getpwnam(_USER)
            os.chown(self._folder, account.pw_uid, account.pw_gid)
        self._run("initdb", "--pgdata", str(self._data), "--username", _USER, "--auth", "trust", "--encoding", "UTF8", "--no-sync")
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories='' -c shared_buffers=128MB"
        self._run("pg_ctl", "start", "--wait", "--pgdata", str(self._data), "--log", str(self._folder / "log"), "--options", options)

    def stop(self) -> None:
        """End it as a crash does: nothing is written any more."""
        self._run("pg_ctl", "stop", "--wait", "--mode", "immediate", "--pgdata", str(self._data))

    def database(self) -> str:
        """The address of a new database."""
        self._made += 1
        name = f"ledger{self._made}"
        self._run("createdb", "--host", "127.0.0.1", "--port", str(self.port), "--username", _USER, name)
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/{name}"

    def _run(self, program: str, *arguments: str) -> None:
        argv = [str(self._programs / program), *arguments]
        account = {"user": _USER, "group": _USER, "extra_groups": []} if os.geteuid() == 0 else {}
        done = subprocess.run(
            argv,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program == "createdb" else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if program == "pg_ctl" else subprocess.PIPE,
            check=False,
            **account,
        )  # type: ignore[call-overload]
        if done.returncode:
            raise RuntimeError(f"{program} ended with {done.returncode}: {(done.stderr or b'').decode()}")
