"""Time is cut where something may begin or must be done; a long window is a few nodes of a tree."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor
from typing import Final

# A window is widened to whole slots: to do more in it can only be easier.
SLOT_S: Final = 0.002
_ALMOST: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Slots:
    """A binary tree: node 1 is all the time there is, below node v are 2v and 2v + 1, and the
    nodes from `leaves` on are the slots themselves. `lengths_s[v]` is how long node v lasts."""

    edges: Sequence[int]
    leaves: int
    lengths_s: Sequence[float]

    @classmethod
    def between(cls, windows_s: Iterable[tuple[float, float]]) -> "Slots":
        edges = sorted({edge for window in windows_s for edge in _widened(*window)})
        slots = max(1, len(edges) - 1)
        leaves = 1 << (slots - 1).bit_length()
        lengths_s = [0.0] * (2 * leaves)
        for place, (left, right) in enumerate(pairwise(edges)):
            lengths_s[leaves + place] = (right - left) * SLOT_S
        for node in range(leaves - 1, 0, -1):
            lengths_s[node] = lengths_s[2 * node] + lengths_s[2 * node + 1]
        return cls(edges, leaves, lengths_s)

    def cover(self, from_at: float, until_at: float) -> Iterator[int]:
        """The fewest nodes that make up this window, widened."""
        left, right = (bisect_left(self.edges, edge) for edge in _widened(from_at, until_at))
        left, right = left + self.leaves, right + self.leaves
        while left < right:
            if left % 2:
                yield left
                left += 1
            if right % 2:
                right -= 1
                yield right
            left, right = left // 2, right // 2


def _widened(from_at: float, until_at: float) -> tuple[int, int]:
    return floor(from_at / SLOT_S + _ALMOST), ceil(until_at / SLOT_S - _ALMOST)
