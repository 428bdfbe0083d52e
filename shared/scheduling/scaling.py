"""How many workers keep the promise: enough for what waits, and for what will come meanwhile.

A new worker first loads its model, longer than most promises last, so that the workers a burst
needs have to stand before it comes: what will come weighs more than what waits.
"""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final

_WINDOW_S: Final = 1.0
# Promises of a few seconds even out what comes within about so many windows.
_EVENED: Final = 5
# From following every minute to knowing only the mean (time constants of averages).
_SPANS_S: Final[tuple[float, ...]] = (15.0, 60.0, 240.0, 960.0)
_ERRORS_SPAN_S: Final = 900.0
# After a silence this long, or a clock that went back, nothing learned before is worth keeping.
_FORGET_AFTER_S: Final = 3600.0
# Below a hundredth of a worker nobody can tell need from rounding.
_ROUNDING: Final = 0.01
# More than anybody has; it keeps nonsense finite.
_MOST: Final = 100_000

# When it is due, in seconds from now, and its work in GPU-seconds.
Due = tuple[float, float]


@dataclass(slots=True)
class Average:
    """An exponential average; a plain one until `span_s` was seen."""

    span_s: float
    mean: float = 0.0
    seen_s: float = 0.0

    def learn(self, value: float, elapsed_s: float) -> None:
        self.seen_s = min(self.span_s, self.seen_s + elapsed_s)
        self.mean += min(1.0, elapsed_s / self.seen_s) * (value - self.mean)


@dataclass(slots=True)
class Forecaster:
    """Expects the average to go on, and remembers by how much that was wrong `horizon_s` later."""

    average: Average
    horizon_s: float
    squared_error: Average = field(default_factory=lambda: Average(_ERRORS_SPAN_S))
    _said: deque[float] = field(default_factory=deque)

    @property
    def error(self) -> float:
        return math.sqrt(self.squared_error.mean)

    def learn(self, came: float, evened: float) -> None:
        """What came in one more window, and what came in each of the last few on average."""
        if len(self._said) * _WINDOW_S > self.horizon_s:
            self.squared_error.learn((evened - self._said.popleft()) ** 2, _WINDOW_S)
        self.average.learn(came, _WINDOW_S)
        self._said.append(self.average.mean)


@dataclass(slots=True)
class Demand:
    """Work that will arrive when a worker started now begins to serve, in GPU-seconds per second.

    Whoever follows quickly is right where rates last, and always late where they do not: of several
    forecasters the one that erred least is believed.
    """

    horizon_s: float
    _forecasters: Sequence[Forecaster] = ()
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=_EVENED))
    _since: float = math.nan
    _work_s: float = 0.0

    def note(self, work_s: float, now: float) -> None:
        """So much has come since the last note. Nonsense counts as nothing."""
        if not 0 <= now - self._since < _FORGET_AFTER_S:
            self._begin(now)
        self._work_s = min(_MOST, self._work_s + _sane(work_s))
        while now - self._since >= _WINDOW_S:
            self._close_window()

    def ahead(self, caution: float) -> float:
        """What to be able to do per second. `caution` is the head-room, in multiples of the error
        (root of the mean square) of the forecast lately."""
        if not self._forecasters:
            return 0.0
        best = min(self._forecasters, key=lambda each: each.error)
        return max(0.0, best.average.mean + caution * best.error)

    def _begin(self, now: float) -> None:
        self._forecasters = [Forecaster(Average(span_s), self.horizon_s) for span_s in _SPANS_S]
        self._recent.clear()
        self._since, self._work_s = now, 0.0

    def _close_window(self) -> None:
        came = self._work_s / _WINDOW_S
        self._recent.append(came)
        evened = sum(self._recent) / len(self._recent)
        for each in self._forecasters:
            each.learn(came, evened)
        self._since += _WINDOW_S
        self._work_s = 0.0


def workers_needed(
    waiting: Iterable[Due], *, coming: float, fleet: int, start_s: float, pace: float = 1.0
) -> int:
    """Enough to do what waits by its deadlines beside `coming` GPU-seconds per second.

    Walks in the order of deadlines. Where `fleet` workers would be late and a new one, ready after
    `start_s`, comes too late as well, the costliest is let go (Moore and Hodgson, 1968): nobody is
    called for those whom nobody can save. `pace` is GPU-seconds done per worker-second. Total: what
    is not a finite number above 0 counts as nothing.
    """
    pace, coming, start_s = _sane(pace) or 1.0, _sane(coming), _sane(start_s)
    needed, queued_s = coming / pace, 0.0
    costs: list[float] = []
    for due_in_s, work_s in sorted(due for due in waiting if _sane(due[0]) and _sane(due[1])):
        queued_s += work_s
        if is_soon := due_in_s < 2 * start_s:
            heappush(costs, -work_s)
        while is_soon and costs and queued_s > fleet * pace * due_in_s:
            queued_s += heappop(costs)
        # Work due sooner than a new worker could begin is no reason for more of them than it would
        # take until then: such peaks are what `coming` provides for.
        share = (max(0.0, queued_s) / max(due_in_s, start_s) + coming) / pace
        if share > fleet and not is_soon:
            share = fleet + (share - fleet) * due_in_s / (due_in_s - start_s)
        needed = max(needed, share)
    return math.ceil(min(_MOST, max(0.0, needed - _ROUNDING)))


@dataclass(slots=True, kw_only=True)
class Steady:
    """Up at once, down only to the most that was wanted in the last `hold_s`: who leaves has to
    load the model again. Never outside `least` and `most`."""

    least: int
    most: int
    hold_s: float
    # Falling wishes with their instants: the first is the largest that still counts.
    _wishes: deque[tuple[float, int]] = field(default_factory=deque)

    def wanted(self, needed: int, now: float) -> int:
        wishes = self._wishes
        # A clock that went back would keep old wishes for ever.
        while wishes and (wishes[-1][1] <= needed or wishes[-1][0] > now):
            wishes.pop()
        wishes.append((now, needed))
        while now - wishes[0][0] > self.hold_s:
            wishes.popleft()
        return max(self.least, min(self.most, wishes[0][1]))


def _sane(value: float) -> float:
    return value if math.isfinite(value) and value > 0 else 0.0
