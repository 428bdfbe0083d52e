"""What processes take from the machine, as Linux tells it: memory and CPU, while they work."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from loadgen.bench.sheet import Cell, rounded
from shared.adapters.clock import SystemClock

_PROC: Final = Path("/proc")
_SAMPLE_EVERY_S: Final = 1.0
_MB: Final = 1024 * 1024
# Of /proc/PID/stat behind the name: user and system time, in ticks.
_USER, _SYSTEM = 11, 12
# What a process does first (imports, pools, caches) is not a leak.
_WARM_UP_SHARE: Final = 0.25
_FEWEST_SAMPLES: Final = 4


@dataclass(frozen=True, slots=True)
class Sample:
    at: float
    memory_mb: float
    cpu_s: float


@dataclass(slots=True, kw_only=True)
class Samples:
    """By process; a process that has ended keeps what it had."""

    pids: Mapping[str, int]
    taken: dict[str, list[Sample]] = field(default_factory=dict)

    def take(self, now: float) -> None:
        for name, pid in self.pids.items():
            with contextlib.suppress(OSError):
                self.taken.setdefault(name, []).append(_sample(pid, now))

    def rows(self) -> list[Mapping[str, Cell]]:
        """Without rows where no such figures are told, as on other systems than Linux."""
        return [_row(name, samples) for name, samples in self.taken.items() if len(samples) > 1]


def neighbours() -> str:
    """What else ran here when a measurement began: figures of a busy machine prove little."""
    if not hasattr(os, "getloadavg"):
        return ""
    return f"Load average when it began: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores."


@contextlib.asynccontextmanager
async def sampled(pids: Mapping[str, int]) -> AsyncIterator[Samples]:
    """The processes by name, and this one, for as long as the block lasts."""
    samples = Samples(pids={**pids, "load generator": os.getpid()})
    clock = SystemClock()
    sampling = asyncio.create_task(_keep_sampling(samples, clock))
    try:
        yield samples
    finally:
        sampling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sampling
        samples.take(clock.monotonic())


async def _keep_sampling(samples: Samples, clock: SystemClock) -> None:
    while True:
        samples.take(clock.monotonic())
        await clock.sleep(_SAMPLE_EVERY_S)


def _sample(pid: int, now: float) -> Sample:
    pages = int((_PROC / str(pid) / "statm").read_text().split()[1])
    ticks = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    cpu_s = (int(ticks[_USER]) + int(ticks[_SYSTEM])) / os.sysconf("SC_CLK_TCK")
    return Sample(now, pages * os.sysconf("SC_PAGE_SIZE") / _MB, cpu_s)


def _row(name: str, samples: Sequence[Sample]) -> Mapping[str, Cell]:
    first, last = samples[0], samples[-1]
    elapsed_s = max(1e-9, last.at - first.at)
    return {
        "process": name,
        "start_mb": rounded(first.memory_mb, 1),
        "peak_mb": rounded(max(sample.memory_mb for sample in samples), 1),
        "end_mb": rounded(last.memory_mb, 1),
        "growth_mb_per_min": rounded(growth_per_s(samples) * 60, 2),
        "cpu_percent": rounded((last.cpu_s - first.cpu_s) / elapsed_s * 100, 1),
    }


def growth_per_s(samples: Sequence[Sample]) -> float:
    """The slope of the straight line that fits memory best, after the warm-up."""
    warm = samples[int(len(samples) * _WARM_UP_SHARE) :]
    if len(warm) < _FEWEST_SAMPLES:
        return 0.0
    middle_at = sum(sample.at for sample in warm) / len(warm)
    middle_mb = sum(sample.memory_mb for sample in warm) / len(warm)
    spread = sum((sample.at - middle_at) ** 2 for sample in warm)
    leaning = sum((sample.at - middle_at) * (sample.memory_mb - middle_mb) for sample in warm)
    return leaning / spread if spread else 0.0
