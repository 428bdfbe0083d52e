"""How long answers are changes with models and habits, so recent answers count most."""

import math
from itertools import pairwise
from statistics import NormalDist
from typing import Final

# Eight cells for every doubling: a quantile is at most 9 % off, from 1 token to a million.
_CELLS_PER_DOUBLING: Final = 8
_CELLS: Final = 20 * _CELLS_PER_DOUBLING
_NORMAL: Final = NormalDist()
_P90: Final = _NORMAL.inv_cdf(0.9)

# After so many answers the oldest of them counts half.
_HALF_LIFE: Final = 300
_GROWTH: Final = 2 ** (1 / _HALF_LIFE)
_RESCALE_AT: Final = 1e12
# As if so many answers had been seen before the first one.
_PRIOR_ANSWERS: Final = 20.0


class Lengths:
    """A decaying histogram of lengths over cells that grow by a constant factor."""

    def __init__(self, *, p50: int, p90: int) -> None:
        self._cells = _lognormal(math.log(p50), math.log(p90 / p50) / _P90)
        self._weight = 1.0

    def learn(self, tokens: int) -> None:
        # Newer answers get heavier instead of older ones lighter: one cell changes, not all.
        self._weight *= _GROWTH
        self._cells[_cell(tokens)] += self._weight
        if self._weight > _RESCALE_AT:
            self._cells = [cell / self._weight for cell in self._cells]
            self._weight = 1.0

    def quantile(self, share: float) -> int:
        """The length that this share of answers does not exceed."""
        wanted = share * sum(self._cells)
        seen = 0.0
        for number, cell in enumerate(self._cells):
            seen += cell
            if seen >= wanted and cell > 0.0:
                within = 1.0 - (seen - wanted) / cell
                return round(2 ** ((number + within) / _CELLS_PER_DOUBLING))
        return round(2 ** (_CELLS / _CELLS_PER_DOUBLING))


def _cell(tokens: int) -> int:
    return min(_CELLS - 1, int(math.log2(max(1, tokens)) * _CELLS_PER_DOUBLING))


def _lognormal(mu: float, sigma: float) -> list[float]:
    edges = (number * math.log(2) / _CELLS_PER_DOUBLING for number in range(_CELLS + 1))
    below = [_NORMAL.cdf((edge - mu) / sigma) for edge in edges]
    return [_PRIOR_ANSWERS * (after - before) for before, after in pairwise(below)]
