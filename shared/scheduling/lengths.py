"""How long answers are changes with models and habits, so recent answers count most."""

import math
from bisect import bisect_right
from collections.abc import Mapping
from itertools import pairwise
from statistics import NormalDist
from typing import Final

from shared.domain.task import Prediction

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

# Upper ends of the classes of prompts, in tokens: a longer prompt often has another answer.
_PROMPT_EDGES: Final = (256, 1024, 4096)


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


class OutputLengths:
    """One histogram for each kind and class of prompt lengths; the priors of the kinds begin it."""

    def __init__(self, priors: Mapping[str, Prediction]) -> None:
        self._priors = priors
        self._lengths: dict[tuple[str, int], Lengths] = {}
        self._quantiles: dict[tuple[str, int], tuple[int, int]] = {}

    def predict(self, kind: str, prompt_tokens: int) -> Prediction:
        """Raises KeyError for a kind without a prior."""
        key = (kind, _size_class(prompt_tokens))
        if key not in self._quantiles:
            lengths = self._lengths_of(key)
            self._quantiles[key] = (lengths.quantile(0.5), lengths.quantile(0.9))
        p50, p90 = self._quantiles[key]
        return Prediction(prompt_tokens=prompt_tokens, output_tokens_p50=p50, output_tokens_p90=p90)

    def learn(self, kind: str, *, prompt_tokens: int, output_tokens: int) -> None:
        """Of an answer that came to its own end."""
        key = (kind, _size_class(prompt_tokens))
        self._lengths_of(key).learn(output_tokens)
        self._quantiles.pop(key, None)

    def _lengths_of(self, key: tuple[str, int]) -> Lengths:
        if key not in self._lengths:
            prior = self._priors[key[0]]
            self._lengths[key] = Lengths(p50=prior.output_tokens_p50, p90=prior.output_tokens_p90)
        return self._lengths[key]


def _size_class(prompt_tokens: int) -> int:
    return bisect_right(_PROMPT_EDGES, prompt_tokens)


def _cell(tokens: int) -> int:
    return min(_CELLS - 1, int(math.log2(max(1, tokens)) * _CELLS_PER_DOUBLING))


def _lognormal(mu: float, sigma: float) -> list[float]:
    edges = (number * math.log(2) / _CELLS_PER_DOUBLING for number in range(_CELLS + 1))
    below = [_NORMAL.cdf((edge - mu) / sigma) for edge in edges]
    return [_PRIOR_ANSWERS * (after - before) for before, after in pairwise(below)]
