"""Capacity is what a worker completes per second when it never runs out of prompts."""

from collections.abc import Iterator
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import Final

from loadgen.workloads.mixes import Mix
from loadgen.workloads.trace import read_trace
from loadgen.workloads.workload import Crowd, build
from shared.scheduling.batching import Batch, Sequence
from shared.scheduling.step_time import EngineProfile

_REQUESTS: Final = 6_000
_WARM_UP: Final = 1_000
# As many as a step could ever admit: a longer queue changes nothing but the memory it takes.
_AHEAD: Final = 64
_SEED: Final = 0


@cache
def capacity_per_s(profile: EngineProfile, mix: Mix) -> float:
    """First come, first served, on one worker; the fleet's is as many times that."""
    arrivals = build(mix, map(float, range(_REQUESTS)), _SEED, Crowd(typing=None))
    return completed_per_s(profile, ((a.prompt_tokens, a.output_tokens) for a in arrivals))


@cache
def trace_capacity_per_s(profile: EngineProfile, trace: Path) -> float:
    """The same for requests as long as those of a trace, which begins again where it is short."""
    rows = islice(cycle(read_trace(trace)), _REQUESTS)
    return completed_per_s(profile, ((row.prompt_tokens, row.output_tokens) for row in rows))


def completed_per_s(profile: EngineProfile, sizes: Iterator[tuple[int, int]]) -> float:
    """Of requests of these sizes (prompt and output tokens), at least 1,064 of them."""
    batch = Batch(profile=profile)
    finished, now, warm_at = 0, 0.0, 0.0
    while True:
        while batch.waiting < _AHEAD and (size := next(sizes, None)) is not None:
            batch.admit(Sequence(prompt_tokens=size[0], output_tokens=size[1]))
        if batch.waiting < _AHEAD:
            return (finished - _WARM_UP) / (now - warm_at)
        step = batch.next_step()
        assert step is not None
        now += step.duration_s
        finished += len(step.finished)
        if finished < _WARM_UP:
            warm_at = now
