"""Processes that outlive the command that started them, and are found again without ever mistaking another for them."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

_DEVNULL, _STDOUT, _STDERR = "/dev/null", 1, 2
_PROC = Path("/proc")


@dataclass(frozen=True)
class Running:
    """A process that the box started.

    A process id alone is not proof: ids are used again. The start time (clock ticks since boot) and the command line are.
    """

    pid: int
    started_ticks: int
    argv: tuple[str, ...]
    fingerprint: str

    def alive(self) -> bool:
        """Whether this very process still runs; a zombie does not.

        A process that is about to end has no command line any more but may still hold its ports.
        """
        _reap(self.pid)
        return _started_ticks(self.pid) == self.started_ticks and _command_line(self.pid) in (self.argv, ())

    def signal(self, number: signal.Signals) -> None:
        """Send ``number``, unless the process is gone."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def gone(self, *, within_s: float) -> bool:
        """Wait until the process has ended; False when it still runs after ``within_s`` seconds."""
        until = time.monotonic() + within_s
        while self.alive():
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        return True

    def end(self, *, grace_s: float) -> None:
        """Ask the process to end, insist after ``grace_s`` seconds."""
        self.signal(signal.SIGTERM)
        if not self.gone(within_s=grace_s):
            self.signal(signal.SIGKILL)
            self.gone(within_s=10)

    def memory_bytes(self) -> int:
        """Resident memory; 0 when the process is gone."""
        try:
            pages = int((_PROC / str(self.pid) / "statm").read_text().split()[1])
        except (OSError, IndexError):
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE")

    def dump(self) -> str:
        """The record that ``load`` reads back."""
        return json.dumps(asdict(self), indent=2) + "\n"


def load(text: str) -> Running:
    """A record written by ``Running.dump``."""
    fields = json.loads(text)
    return Running(pid=fields["pid"], started_ticks=fields["started_ticks"], argv=tuple(fields["argv"]), fingerprint=fields["fingerprint"])


def spawn(argv: Sequence[str], *, environment: Mapping[str, str], log: Path, fingerprint: str) -> Running:
    """Start ``argv`` in a session of its own, its output appended to ``log``.

    posix_spawn and not subprocess: nobody waits for this child, which subprocess takes for a mistake and warns about.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    output = (os.POSIX_SPAWN_OPEN, _STDOUT, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    files = [(os.POSIX_SPAWN_OPEN, 0, _DEVNULL, os.O_RDONLY, 0), output, (os.POSIX_SPAWN_DUP2, _STDOUT, _STDERR)]
    # Python ignores SIGPIPE and a child would inherit that.
    pid = os.posix_spawn(argv[0], list(argv), dict(environment), file_actions=files, setsid=True, setsigdef=[signal.SIGPIPE])
    return Running(pid=pid, started_ticks=_started_ticks(pid) or 0, argv=tuple(argv), fingerprint=fingerprint)


def strays(*, programs: frozenset[str], mention: Sequence[Path]) -> list[Running]:
    """Processes of the named ``programs`` whose command line mentions one of the folders: ours, though their record is lost."""
    pids = [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]
    return [running for pid in pids if (running := _stray(pid, programs=programs, mention=mention))]


def _stray(pid: int, *, programs: frozenset[str], mention: Sequence[Path]) -> Running | None:
    argv, ticks = _command_line(pid), _started_ticks(pid)
    if not argv or ticks is None or Path(argv[0]).name not in programs:
        return None
    if not any(str(folder) in argument for folder in mention for argument in argv):
        return None
    return Running(pid=pid, started_ticks=ticks, argv=argv, fingerprint="")


def _reap(pid: int) -> None:
    # Only a child of this very process can be reaped here; all others have somebody else who does.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _started_ticks(pid: int) -> int | None:
    """Field 22 of /proc/<pid>/stat; None when there is no such process or only its zombie."""
    try:
        after_name = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    ended = after_name[0] in "ZX" and int(after_name[17]) <= 1  # a first thread that ended is a zombie while others still run
    return None if ended else int(after_name[19])


def _command_line(pid: int) -> tuple[str, ...]:
    try:
        raw = (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return ()
    return tuple(part.decode(errors="replace") for part in raw.split(b"\0")[:-1])
