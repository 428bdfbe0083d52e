"""Requests come when they come: nobody waits for an earlier answer before asking.

Every process yields rising instants in seconds after the start, below `duration_s`, and is in
its steady state from the first second on, so that short runs see the rate they asked for.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import accumulate, chain, takewhile
from random import Random
from typing import Final

from loadgen.workloads.azure import azure_times
from loadgen.workloads.errors import ArrivalsImpossible

Arrivals = Callable[[float, float, Random], Iterator[float]]


def poisson(rate: float, duration_s: float, rng: Random) -> Iterator[float]:
    """Many strangers, each asking rarely."""
    return gamma(rate, duration_s, rng, cv=1)


def gamma(rate: float, duration_s: float, rng: Random, *, cv: float) -> Iterator[float]:
    """Gaps with a coefficient of variation of `cv`: above 1 requests come in clumps."""
    _refuse_impossible(rate=rate, duration_s=duration_s, cv=cv)
    shape = 1 / cv**2
    scale_s = cv**2 / rate
    # A gap found by looking at a random moment is longer than the average gap; starting at
    # its beginning instead would add (cv² - 1) / 2 requests to every run.
    first_s = rng.gammavariate(shape + 1, scale_s) * rng.random()
    gaps_s = iter(partial(rng.gammavariate, shape, scale_s), math.inf)
    return takewhile(lambda at_s: at_s < duration_s, accumulate(chain([first_s], gaps_s)))


def on_off(
    rate: float, duration_s: float, rng: Random, *, on_s: float = 2.0, off_s: float = 6.0
) -> Iterator[float]:
    """A team that works and rests: Poisson while on, silent while off, `rate` on average."""
    _refuse_impossible(rate=rate, duration_s=duration_s, on_s=on_s, off_s=off_s)
    return takewhile(lambda at_s: at_s < duration_s, _phases(rate, rng, on_s, off_s))


def _phases(rate: float, rng: Random, on_s: float, off_s: float) -> Iterator[float]:
    on_share = on_s / (on_s + off_s)
    at_s = 0.0 if rng.random() < on_share else rng.expovariate(1 / off_s)
    while True:
        until_s = at_s + rng.expovariate(1 / on_s)
        while (at_s := at_s + rng.expovariate(rate / on_share)) < until_s:
            yield at_s
        at_s = until_s + rng.expovariate(1 / off_s)


def azure(rate: float, duration_s: float, rng: Random) -> Iterator[float]:
    """The rhythm of a real coding service, played at `rate`."""
    _refuse_impossible(rate=rate, duration_s=duration_s)
    return azure_times(rate, duration_s, rng)


def _refuse_impossible(**sizes: float) -> None:
    for name, size in sizes.items():
        if not (math.isfinite(size) and size > 0):
            raise ArrivalsImpossible(name, "a finite number above 0", size)


ARRIVALS: Final[Mapping[str, Arrivals]] = {
    "poisson": poisson,
    "gamma-cv2": partial(gamma, cv=2),
    "gamma-cv4": partial(gamma, cv=4),
    "on-off": on_off,
    "azure": azure,
}
