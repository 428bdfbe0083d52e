"""The same workload twice, at more than the workers can do: first come first served, then by
promise."""

import asyncio
import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local.pools import pools_of

_LOAD: Final = 1.2
# Of an engine whose capacity nobody knows.
_RATE: Final = 12.0
_FCFS: Final = "round_robin"
_OURS: Final = "cato"


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """One policy's turn, in a house of its own; its report lies in a folder of its own."""

    policy: str
    name: str
    out: Path

    @property
    def report(self) -> Path:
        return self.out / "report.json"

    def housed(self, options: Namespace) -> Namespace:
        return Namespace(**{**vars(options), "policy": self.policy, "out": self.out})


def plays(options: Namespace) -> Iterator[Play]:
    """Whoever names a policy sees that one alone."""
    named = {_FCFS: "fcfs", _OURS: _OURS}
    if options.policy:
        named = {options.policy: options.policy}
    for policy, name in named.items():
        yield Play(policy=policy, name=name, out=options.out / policy)


async def played(play: Play, base_url: str, options: Namespace) -> int:
    """The workload once; returns its exit status."""
    return await _loadgen(
        *("run", "--url", base_url, "--name", play.name, "--brief", "--json", str(play.report)),
        *("--seconds", str(options.seconds), "--seed", str(options.seed)),
        *("--arrivals", "gamma-cv2", *_speed(options)),
    )


async def compared(ended: list[Play], options: Namespace) -> int:
    return await _loadgen(
        "report", *(str(play.report) for play in ended), "--out", str(options.out)
    )


def _speed(options: Namespace) -> tuple[str, ...]:
    if options.rate is not None:
        return "--rate", str(options.rate)
    pool = pools_of(options)[0]
    if "CATO_ENGINE_URL" in pool.settings:
        return "--rate", str(_RATE)
    profile = pool.settings.get("CATO_PROFILE")
    told = () if profile is None else ("--profile", profile)
    return "--load", str(_LOAD), "--workers", str(pool.workers), *told


async def _loadgen(*argv: str) -> int:
    load = await asyncio.create_subprocess_exec(sys.executable, "-m", "loadgen", *argv)
    try:
        return await load.wait()
    finally:
        if load.returncode is None:
            load.terminate()
            await load.wait()
