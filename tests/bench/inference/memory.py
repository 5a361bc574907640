"""The memory of the transformer before Triton."""

from collections.abc import Iterator
from pathlib import Path

from bench import load
from bench.inference import asked, figures, peers, triton, turns
from bench.inference.figures import Figure
from bench.inference.sizes import Sizes

MIB = 120.0


def rows(sizes: Sizes, folder: Path) -> Iterator[Figure]:
    """Resident when it has started and answered once, and the most that it was while 32 clients asked."""
    with triton.running(folder) as server, peers.slipway(folder, server) as transformer:
        yield figures.at_most("transformer: resident memory at rest", _mib(transformer.pid, "VmRSS"), "MiB", limit=MIB)
        seconds = sizes.turns * sizes.turn_s
        load.as_fast_as_possible(folder, transformer.port, script=asked.SCRIPT, connections=turns.CONNECTIONS, seconds=seconds)
        yield figures.at_most("transformer: resident memory under load, the most", _mib(transformer.pid, "VmHWM"), "MiB", limit=MIB)


def _mib(process: int, field: str) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{field}:")) / 1024
