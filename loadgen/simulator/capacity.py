"""Capacity is what a worker completes per second when it never runs out of prompts."""

from functools import cache
from typing import Final

from loadgen.workloads.arrival import Arrival
from loadgen.workloads.mixes import Mix
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
    arrivals = iter(build(mix, map(float, range(_REQUESTS)), _SEED, Crowd(typing=None)))
    batch = Batch(profile=profile)
    finished, now, warm_at = 0, 0.0, 0.0
    while True:
        while batch.waiting < _AHEAD and (arrival := next(arrivals, None)) is not None:
            batch.admit(_sequence(arrival))
        if batch.waiting < _AHEAD:
            return (finished - _WARM_UP) / (now - warm_at)
        step = batch.next_step()
        assert step is not None
        now += step.duration_s
        finished += len(step.finished)
        if finished < _WARM_UP:
            warm_at = now


def _sequence(arrival: Arrival) -> Sequence:
    return Sequence(prompt_tokens=arrival.prompt_tokens, output_tokens=arrival.output_tokens)
