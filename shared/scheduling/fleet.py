"""The fleet is whoever has a free slot, those first who would begin a prompt first."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from shared.scheduling.policy import WorkerView

Key = tuple[float, float, float, int, str]


@dataclass(slots=True)
class _Line:
    """Workers in the order of their keys. Plain lists: to copy them costs next to nothing."""

    keys: list[Key] = field(default_factory=list)
    workers: list[WorkerView] = field(default_factory=list)

    def add(self, key: Key, worker: WorkerView) -> None:
        place = bisect_left(self.keys, key)
        self.keys.insert(place, key)
        self.workers.insert(place, worker)

    def remove(self, key: Key) -> None:
        place = bisect_left(self.keys, key)
        del self.keys[place], self.workers[place]

    def copy(self) -> "_Line":
        return _Line(self.keys.copy(), self.workers.copy())


class Fleet:
    """Two lines: who has prefilled all it was sent, the emptiest first, and behind them the others,
    by when they will have.

    A change costs O(log n), and a shift of pointers that is nothing below ten thousand workers.
    """

    def __init__(self, workers: Iterable[WorkerView] = ()) -> None:
        self._now = -math.inf
        self._drained = _Line()
        self._busy = _Line()
        for worker in workers:
            self.add(worker)

    def add(self, worker: WorkerView) -> None:
        """A full one is left out."""
        if not worker.is_free():
            return
        if _drained_at(worker) <= self._now:
            self._drained.add(_emptiness(worker), worker)
        else:
            self._busy.add(_busyness(worker), worker)

    def remove(self, worker: WorkerView) -> None:
        """As it was added."""
        if not worker.is_free():
            return
        if _drained_at(worker) <= self._now:
            self._drained.remove(_emptiness(worker))
        else:
            self._busy.remove(_busyness(worker))

    def open(self, now: float, window_s: float) -> Sequence[WorkerView]:
        """Those with no more than `window_s` left to prefill, the soonest drained first, the
        emptiest among equals. `now` never goes back."""
        self._drain(now)
        opened = self._opened(now, window_s)
        if not opened:
            return self._drained.workers
        return self._drained.workers + self._busy.workers[:opened]

    def is_open(self, now: float, window_s: float) -> bool:
        """Is there one of these?"""
        return bool(self._drained.keys) or self._opened(now, window_s) > 0

    def opens_at(self, now: float, window_s: float) -> float:
        """When the next one has no more left than that; inf when all of them have."""
        opened = self._opened(now, window_s)
        if opened == len(self._busy.keys):
            return math.inf
        # However that is rounded: whoever looks again at the same instant would look for ever.
        return max(self._busy.keys[opened][0] - window_s, math.nextafter(now, math.inf))

    def copy(self) -> "Fleet":
        fleet = Fleet()
        fleet._now = self._now
        fleet._drained, fleet._busy = self._drained.copy(), self._busy.copy()
        return fleet

    def _drain(self, now: float) -> None:
        keys, workers = self._busy.keys, self._busy.workers
        drained = 0
        while drained < len(keys) and keys[drained][0] <= now:
            worker = workers[drained]
            self._drained.add(_emptiness(worker), worker)
            drained += 1
        if drained:
            del keys[:drained], workers[:drained]
        self._now = max(self._now, now)

    def _opened(self, now: float, window_s: float) -> int:
        """How many of those that are busy."""
        return bisect_right(self._busy.keys, (now + window_s, math.inf))


# The smaller of inf and NaN is inf: NaN, before and after nothing, would leave no order.
def _drained_at(worker: WorkerView) -> float:
    return min(math.inf, worker.drained_at)


def _emptiness(worker: WorkerView) -> Key:
    return (
        worker.held,
        min(math.inf, worker.served_at),
        _drained_at(worker),
        worker.to_partition,
        worker.name,
    )


def _busyness(worker: WorkerView) -> Key:
    return (
        _drained_at(worker),
        worker.held,
        min(math.inf, worker.served_at),
        worker.to_partition,
        worker.name,
    )
