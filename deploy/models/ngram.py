"""The baseline that a neural model has to beat: what followed most often after the last tokens.

Longest known context first (stupid backoff, Brants et al., 2007); it reads nothing behind the
cursor.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

Longs = NDArray[np.int64]

_LONGEST_CONTEXT: Final = 5
# Odd, so that multiplying loses nothing modulo 2**64.
_MIXER: Final = 0x9E3779B97F4A7C15


@dataclass(frozen=True, slots=True)
class Table:
    """Contexts of one length, by hash in rising order; each with its followers, rarest first."""

    contexts: Longs
    followers: Longs

    @classmethod
    def counted(cls, contexts: Longs, followers: Longs) -> Self:
        order = np.lexsort((followers, contexts))
        pairs = np.stack((contexts[order], followers[order]))
        starts = np.flatnonzero(np.r_[True, (pairs[:, 1:] != pairs[:, :-1]).any(axis=0)])
        counts = np.diff(np.r_[starts, pairs.shape[1]])
        contexts, followers = pairs[:, starts]
        order = np.lexsort((counts, contexts))
        return cls(contexts[order], followers[order])

    def followers_of(self, context: int) -> Longs:
        """The most frequent first."""
        first = np.searchsorted(self.contexts, context)
        behind = np.searchsorted(self.contexts, context, side="right")
        return self.followers[first:behind][::-1]


class NGrams:
    def __init__(self, documents: Iterable[Sequence[int]]) -> None:
        tokens = np.array([token for document in documents for token in document], np.int64)
        self._tables = [
            Table.counted(_hashes(tokens, length)[:-1], tokens[length:])
            for length in range(_LONGEST_CONTEXT, 0, -1)
        ]

    def next(self, tokens: Sequence[int], among: Sequence[int] = ()) -> int | None:
        """One of `among`, where some are given; None where nothing known fits."""
        for length, table in zip(range(_LONGEST_CONTEXT, 0, -1), self._tables, strict=True):
            if len(tokens) < length:
                continue
            context = _hashes(np.array(tokens[-length:], np.int64), length)[0]
            followers = table.followers_of(int(context))
            if among:
                followers = followers[np.isin(followers, among)]
            if followers.size:
                return int(followers[0])
        return None


def _hashes(tokens: Longs, length: int) -> Longs:
    """Of each run of so many tokens, in order; the last one ends with the last token."""
    count = len(tokens) - length + 1
    mixed = np.zeros(count, np.uint64)
    for offset in range(length):
        mixed = (mixed ^ tokens[offset : offset + count].astype(np.uint64)) * np.uint64(_MIXER)
        mixed ^= mixed >> np.uint64(29)
    return mixed.astype(np.int64)
