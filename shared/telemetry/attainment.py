"""Attainment is the share of tasks that kept their whole promise; goodput is how many a second."""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final

from shared.domain.outcome import Outcome
from shared.telemetry import names
from shared.telemetry.instruments import attainment, goodput

# Whoever left did not wait to see the promise kept or broken.
_UNDECIDED: Final = frozenset({Outcome.CANCELLED, Outcome.SUPERSEDED})


@dataclass(slots=True)
class _Slice:
    """The endings of one second, by kind."""

    began_at: float
    ended: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class RecentPromises:
    """The last minute of one pool, in slices of a second; memory does not grow with the load."""

    window_s: float = 60.0
    _slices: deque[_Slice] = field(default_factory=deque)
    _kinds: set[str] = field(default_factory=set)

    def ended(self, kind: str, outcome: Outcome, now: float) -> None:
        if outcome in _UNDECIDED:
            return
        self._kinds.add(kind)
        present = self._slice(now)
        present.ended[kind] += 1
        present.kept[kind] += outcome is Outcome.COMPLETED

    def shares(self, now: float) -> dict[str, float]:
        """Attainment by kind, for the kinds of which a task ended within the window."""
        ended, kept = self._counts(now)
        return {kind: kept[kind] / count for kind, count in ended.items()}

    def rates(self, now: float) -> dict[str, float]:
        """Goodput by kind, in tasks a second."""
        kept = self._counts(now)[1]
        return {kind: kept[kind] / self.window_s for kind in self._kinds}

    def report(self, now: float, model: str) -> None:
        for kind, share in self.shares(now).items():
            attainment.set(share, {names.KIND: kind, names.MODEL: model})
        for kind, rate in self.rates(now).items():
            goodput.set(rate, {names.KIND: kind, names.MODEL: model})

    def _slice(self, now: float) -> _Slice:
        if not self._slices or now - self._slices[-1].began_at >= 1.0:
            self._slices.append(_Slice(now))
        return self._slices[-1]

    def _counts(self, now: float) -> tuple[Counter[str], Counter[str]]:
        while self._slices and now - self._slices[0].began_at > self.window_s:
            self._slices.popleft()
        ended: Counter[str] = Counter()
        kept: Counter[str] = Counter()
        for each in self._slices:
            ended.update(each.ended)
            kept.update(each.kept)
        return ended, kept
