"""The programs of a cluster, and the one that keeps them running."""

import hashlib
import json
import os
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slipway_box import ports, process
from slipway_box.errors import BoxError
from slipway_box.probe import Probe
from slipway_box.process import Running

LOG_LIMIT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Component:
    """One program: how to start it and how to tell that it is up."""

    name: str
    argv: tuple[str, ...]
    probe: Probe
    listens: tuple[tuple[str, int], ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[Path, str] = field(default_factory=dict)
    """Configuration files and their text: written before it starts, and part of the fingerprint, so that a change restarts it."""
    ready_within_s: float = 60

    def fingerprint(self) -> str:
        """Changes when anything that was decided about this component changes."""
        files = {str(path): text for path, text in self.files.items()}
        decided = json.dumps([self.argv, dict(self.environment), files], sort_keys=True)
        return hashlib.sha256(decided.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Supervisor:
    """Starts components and finds them again: one record of each in ``run``, one log in ``logs``."""

    run: Path
    logs: Path

    def running(self, name: str) -> Running | None:
        """The process of ``name``, if it is alive."""
        record = self._record(name)
        try:
            running = process.load(record.read_text())
        except (OSError, ValueError, KeyError):
            return None
        return running if running.alive() else None

    def recorded(self) -> list[str]:
        """Names of all components that were started here and not stopped."""
        return sorted(path.name.removesuffix(".pid.json") for path in self.run.glob("*.pid.json"))

    def start(self, component: Component) -> None:
        """Start ``component``, unless it runs already as it was decided."""
        running = self.running(component.name)
        if running and running.fingerprint == component.fingerprint():
            return
        if running:
            running.end(grace_s=10)
        for address, port in component.listens:
            ports.require(component.name, address, port)
        self._spawn(component)

    def wait(self, component: Component) -> None:
        """Wait until ``component`` is up.

        Raises BoxError with the end of its log when it dies or takes too long.
        """
        until = time.monotonic() + component.ready_within_s
        while not component.probe.healthy():
            if self.running(component.name) is None:
                raise BoxError(f"{component.name} ended by itself. {self._last_words(component.name)}")
            if time.monotonic() > until:
                raise BoxError(f"{component.name} is not up after {component.ready_within_s:.0f} s. {self._last_words(component.name)}")
            time.sleep(0.05)

    def ensure(self, *components: Component) -> None:
        """Start all of them, then wait for each."""
        for component in components:
            self.start(component)
        for component in components:
            self.wait(component)

    def stop(self, *names: str, grace_s: float = 10) -> None:
        """End all of them, asking first; nothing happens to those that do not run."""
        running = [found for name in names if (found := self.running(name))]
        for found in running:
            found.signal(signal.SIGTERM)
        for found in running:
            found.end(grace_s=grace_s)
        self._forget(names)

    def kill(self, *names: str) -> None:
        """End all of them at once, as a crash would."""
        for name in names:
            if found := self.running(name):
                found.signal(signal.SIGKILL)
                found.gone(within_s=10)
        self._forget(names)

    def log(self, name: str) -> Path:
        """Where ``name`` writes."""
        return self.logs / f"{name}.log"

    def _spawn(self, component: Component) -> None:
        self.run.mkdir(parents=True, exist_ok=True)
        _rotate(self.log(component.name))
        for path, text in component.files.items():
            path.write_text(text)
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.run)} | dict(component.environment)
        running = process.spawn(component.argv, environment=environment, log=self.log(component.name), fingerprint=component.fingerprint())
        self._record(component.name).write_text(running.dump())

    def _forget(self, names: Iterable[str]) -> None:
        for name in names:
            self._record(name).unlink(missing_ok=True)

    def _record(self, name: str) -> Path:
        return self.run / f"{name}.pid.json"

    def _last_words(self, name: str) -> str:
        log = self.log(name)
        lines = log.read_text(errors="replace").strip().splitlines()[-5:] if log.exists() else []
        return f"The end of its log, {log}:\n" + "\n".join(f"  {line[:400]}" for line in lines)


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".log.1"))
