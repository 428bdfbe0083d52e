"""While an engine only decodes, all its next steps are known: they are done as one stretch."""

from bisect import bisect_right
from typing import NamedTuple


class Stretch(NamedTuple):
    """So many steps that only decode, and nobody gets a last token before the final one.

    Each takes `growth_s` longer than the one before, as it holds one more token per sequence.
    """

    began_at: float
    steps: int
    first_s: float
    growth_s: float

    def ended_at(self, steps: int) -> float:
        """When so many of them have ended."""
        grown_s = self.growth_s * steps * (steps + 1) / 2
        return self.began_at + (steps * self.first_s + grown_s)

    def ended_by(self, now: float) -> int:
        """How many of them have ended."""
        return bisect_right(range(1, self.steps + 1), now, key=self.ended_at)
