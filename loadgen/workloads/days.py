"""A day is a rate that changes over minutes, slower than bursts and about as slow as a model loads.

Rates are in multiples of what one worker completes per second, one for each second.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Final

from loadgen.workloads.arrivals import gamma
from loadgen.workloads.trace import TraceRow, Window, read_trace

# Requests come in clumps on top of whatever the rate does.
_CV: Final = 2.0
_PEAK: Final = 2.5
_QUIET: Final = 0.1
_PHASE_S: Final = 300.0
# How many services like the traced one share the fleet, and how far their clocks are apart.
_COPIES: Final = 4
_APART_S: Final = 2.0

Day = Callable[[int, Random], Sequence[float]]


def on_and_off(seconds: int, rng: Random) -> Sequence[float]:
    """Teams that work and rest: each phase as long as chance has it, some minutes on average."""
    rates: list[float] = []
    is_on = rng.random() < 0.5  # noqa: PLR2004 - a coin
    while len(rates) < seconds:
        phase_s = math.ceil(rng.expovariate(1 / _PHASE_S))
        rates += [_PEAK if is_on else _QUIET] * phase_s
        is_on = not is_on
    return rates[:seconds]


def ramp(seconds: int, rng: Random) -> Sequence[float]:
    """A morning and an evening: up to the peak somewhere near the middle, and down again."""
    noon = seconds * rng.uniform(0.4, 0.6)
    rise = (_PEAK - _QUIET) / noon
    fall = (_PEAK - _QUIET) / (seconds - noon)
    return [_QUIET + min(rise * at, fall * (seconds - at)) for at in range(seconds)]


DAYS: Final[Mapping[str, Day]] = {"onoff": on_and_off, "ramp": ramp}


def times(rates: Sequence[float], per_s: float, rng: Random) -> Iterator[float]:
    """Gamma arrivals whose rate is `per_s` times what each second says.

    Time is stretched where the rate is low: the clumps stay, however fast they follow.
    """
    total = sum(rates)
    if total <= 0:
        return
    second, before = 0, 0.0
    for passed in gamma(per_s, total, rng, cv=_CV):
        while second < len(rates) - 1 and before + rates[second] <= passed:
            before += rates[second]
            second += 1
        if rates[second] > 0:
            yield second + min(1.0, (passed - before) / rates[second])


def traced(trace: Path, seconds: int, rng: Random) -> list[TraceRow]:
    """A stretch of the trace in its own time, each request as often as services share the fleet."""
    rows = read_trace(trace)
    start_s = rng.uniform(0, max(0.0, rows[-1].at_s - seconds))
    window = Window(start_s=start_s, duration_s=seconds)
    played = (
        replace(row, at_s=row.at_s - start_s + rng.uniform(0, _APART_S))
        for row in rows
        if window.holds(row)
        for _ in range(_COPIES)
    )
    return sorted((row for row in played if row.at_s < seconds), key=lambda row: row.at_s)
