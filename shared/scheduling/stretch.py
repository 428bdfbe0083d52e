"""While an engine only decodes, all its next steps are known: they are done as one stretch."""

from bisect import bisect_right
from typing import NamedTuple


class Stretch(NamedTuple):
    """So many steps that only decode, and nobody gets a last token before the final one.

    Each takes `growth_s` longer than the one before, as it holds one more token per sequence.
    """

    began_at: float
    steps: int
    sequences: int
    kv_tokens: int
    base_s: float
    growth_s: float

    def step_s(self, number: int) -> float:
        """How long the step of this number takes; the first is 1."""
        return self.base_s + self.growth_s * number

    def ended_at(self, steps: int) -> float:
        """When so many of them have ended."""
        grown_s = self.growth_s * steps * (steps + 1) / 2
        return self.began_at + (steps * self.base_s + grown_s)

    def ended_by(self, now: float) -> int:
        """How many of them have ended."""
        return bisect_right(range(1, self.steps + 1), now, key=self.ended_at)

    def step_after(self, steps: int) -> "Stretch":
        """The one that follows so many, alone."""
        return Stretch(
            self.ended_at(steps),
            1,
            self.sequences,
            self.kv_tokens + steps * self.sequences,
            self.step_s(steps),
            self.growth_s,
        )
