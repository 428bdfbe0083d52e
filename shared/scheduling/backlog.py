"""The backlog is what waits, kept in the order in which the policy would serve it."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from sortedcontainers import SortedList

from shared.domain.task import LatencyClass, Task, TaskId
from shared.scheduling.cost import Cost
from shared.scheduling.policy import Policy, Rank


@dataclass(frozen=True, slots=True)
class _Place:
    task: Task
    key: tuple[Rank, TaskId]
    worthless_at: float
    received_at: float
    work_s: float


@dataclass(slots=True, kw_only=True)
class Backlog:
    """Adding and removing cost O(log n); walking the heads costs only what is walked."""

    policy: Policy
    cost: Cost
    queued: Counter[LatencyClass] = field(default_factory=Counter)
    work_s: defaultdict[LatencyClass, float] = field(default_factory=lambda: defaultdict(float))
    _places: dict[TaskId, _Place] = field(default_factory=dict)
    _order: SortedList = field(default_factory=SortedList)
    _by_worth: SortedList = field(default_factory=SortedList)
    _by_age: SortedList = field(default_factory=SortedList)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._places

    def get(self, task_id: TaskId) -> Task | None:
        place = self._places.get(task_id)
        return None if place is None else place.task

    def add(self, task: Task) -> None:
        """A second add of the same id changes nothing."""
        if task.id in self._places:
            return
        place = _Place(
            task,
            (_total(self.policy.rank(task, self.cost)), task.id),
            _instant(None if task.useful_s is None else task.received_at + task.useful_s),
            _instant(task.received_at),
            _finite(self.cost.work_s(task)),
        )
        self._places[task.id] = place
        self._order.add(place.key)
        self._by_worth.add((place.worthless_at, task.id))
        self._by_age.add((place.received_at, task.id))
        self.queued[task.latency_class] += 1
        self.work_s[task.latency_class] += place.work_s

    def remove(self, task_id: TaskId) -> Task | None:
        place = self._places.pop(task_id, None)
        if place is None:
            return None
        task = place.task
        self._order.remove(place.key)
        self._by_worth.remove((place.worthless_at, task.id))
        self._by_age.remove((place.received_at, task.id))
        self.queued[task.latency_class] -= 1
        self.work_s[task.latency_class] -= place.work_s
        return task

    def heads(self) -> Iterator[Task]:
        """In the policy's order. Do not add or remove while walking."""
        return (self._places[task_id].task for _, task_id in self._order)

    def worthless(self, now: float) -> Iterator[Task]:
        """Those whose answer nobody would want any more, the longest worthless first."""
        for worthless_at, task_id in self._by_worth:
            if worthless_at >= now:
                return
            yield self._places[task_id].task

    def older_than(self, received_at: float) -> Iterator[Task]:
        """Those received before that instant, oldest first."""
        for at, task_id in self._by_age:
            if at >= received_at:
                return
            yield self._places[task_id].task

    def ahead_of(self, task: Task) -> int:
        """How many would be served before this newcomer?"""
        key = (_total(self.policy.rank(task, self.cost)), task.id)
        return int(self._order.bisect_left(key))


def _total(rank: Rank) -> Rank:
    """NaN would break every comparison: such a task goes last, it is never lost."""
    return tuple(map(_instant, rank))


def _instant(value: float | None) -> float:
    return math.inf if value is None or math.isnan(value) else value


def _finite(value: float) -> float:
    return value if math.isfinite(value) and value > 0 else 0.0
