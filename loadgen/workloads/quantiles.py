"""A measured distribution is remembered by a few of its quantiles."""

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Positive values by rising share; in between, the logarithm of the value is linear."""

    shares: tuple[float, ...]
    values: tuple[float, ...]

    def at(self, share: float) -> float:
        right = min(max(bisect_right(self.shares, share), 1), len(self.shares) - 1)
        low, high = self.shares[right - 1], self.shares[right]
        weight = (share - low) / (high - low)
        start, end = self.values[right - 1], self.values[right]
        return start * math.exp(weight * math.log(end / start))

    def draw(self, rng: Random) -> float:
        return self.at(rng.random())


def stratified(strata: int, rng: Random) -> Iterator[float]:
    """Endless uniform shares of which every `strata` in a row cover the whole interval evenly.

    A heavy tail drawn freely is missed by one hour and met twice by the next; drawn this way
    each hour holds its part of it.
    """
    order: Sequence[int] = range(strata)
    while True:
        for stratum in rng.sample(order, strata):
            yield (stratum + rng.random()) / strata
