"""The next token is chosen from scores, and the same request always chooses the same."""

from collections.abc import Sequence
from hashlib import blake2b
from random import Random
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from shared.messages.body import Body

Scores = NDArray[np.float32]


class Chosen(NamedTuple):
    """A token; where asked for, its log-probability, and the likeliest ones in its place.

    Among those that could have been chosen there, and before temperature and nucleus.
    """

    token: int
    logprob: float | None = None
    top: Sequence[tuple[int, float]] = ()


class Choice:
    """Temperature, then nucleus sampling (Holtzman et al., 2020); at temperature 0 the best.

    The first tokens are some of `anew`, until one is not the first of its list.
    """

    def __init__(
        self,
        *,
        temperature: float,
        top_p: float,
        seed: int,
        never: Sequence[int],
        anew: Sequence[Sequence[int]] = (),
        logprobs: int | None = None,
    ) -> None:
        self._temperature = temperature
        self._top_p = top_p
        self._random = Random(seed)
        self._never = list(never)
        self._anew = [list(each) for each in anew]
        self._logprobs = logprobs

    @classmethod
    def of(
        cls,
        body: Body,
        *,
        temperature: float,
        top_p: float,
        never: Sequence[int],
        anew: Sequence[Sequence[int]] = (),
    ) -> Self:
        """The seed is the client's, or else made of what it wrote."""
        written = blake2b(body.text().encode(errors="surrogatepass"), digest_size=8).digest()
        return cls(
            temperature=temperature if body.temperature is None else body.temperature,
            top_p=top_p if body.top_p is None else body.top_p,
            seed=int.from_bytes(written) if body.seed is None else body.seed,
            never=never,
            anew=anew,
            logprobs=body.logprobs,
        )

    def chosen(self, scores: Scores) -> Chosen:
        """Of one row of scores, which is used up."""
        token = self.choose(scores)
        return Chosen(token) if self._logprobs is None else _weighed(scores, token, self._logprobs)

    def choose(self, scores: Scores) -> int:
        """Of one row of scores, of which those that could be chosen are left."""
        scores[self._never] = -np.inf
        if not self._anew:
            return self._best(scores)
        allowed = self._anew.pop(0)
        others = np.ones(len(scores), bool)
        others[allowed] = False
        scores[others] = -np.inf
        chosen = self._best(scores)
        if chosen != allowed[0]:
            self._anew.clear()
        return chosen

    def _best(self, scores: Scores) -> int:
        if self._temperature <= 0:
            return int(scores.argmax())
        shares = np.exp((scores - scores.max()) / self._temperature)
        best_first = np.argsort(-shares)
        grown = np.cumsum(shares[best_first])
        limit = grown[-1] * self._top_p
        kept = int(np.searchsorted(grown, limit)) + 1
        drawn = self._random.random() * grown[min(kept, len(grown)) - 1]
        return int(best_first[np.searchsorted(grown, drawn)])


def _weighed(scores: Scores, token: int, most: int) -> Chosen:
    """By a softmax, computed from the best score down so that nothing overflows."""
    below = scores.astype(np.float64) - scores.max()
    below -= np.log(np.exp(below).sum())
    return Chosen(token, float(below[token]), _likeliest(below, min(most, len(below))))


def _likeliest(logprobs: NDArray[np.float64], most: int) -> list[tuple[int, float]]:
    """Best first; to put a whole vocabulary in order would take longer than the rest of a step."""
    if most == 0:
        return []
    best = np.argpartition(logprobs, -most)[-most:]
    known = [(int(each), float(logprobs[each])) for each in best if np.isfinite(logprobs[each])]
    return sorted(known, key=lambda each: (-each[1], each[0]))
