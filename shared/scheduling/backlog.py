"""The backlog is what waits, kept in the order in which the policy would serve it.

Two lanes: those who can still be on time, and behind them those who can only be late.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import takewhile

from sortedcontainers import SortedList

from shared.domain.task import LatencyClass, Task, TaskId
from shared.scheduling.cost import Cost
from shared.scheduling.guard import Guard
from shared.scheduling.policy import Policy, Rank

Key = tuple[Rank, TaskId]
Due = tuple[float, TaskId]


@dataclass(slots=True)
class _Place:
    task: Task
    key: Key
    worthless: Due
    received: Due
    hopeless: Due | None
    doomed: Due | None
    work_s: float
    # Its work while that can still keep a promise.
    promised_s: float
    is_late: bool = False


@dataclass(slots=True, kw_only=True)
class Backlog:
    """Adding, removing and letting go cost O(log n); walking costs only what is walked.

    `workers`: how many share the work; whoever knows the fleet keeps it right.
    """

    policy: Policy
    cost: Cost
    workers: int = 1
    queued: Counter[LatencyClass] = field(default_factory=Counter)
    work_s: defaultdict[LatencyClass, float] = field(default_factory=lambda: defaultdict(float))
    _promised_s: float = 0.0
    _late_s: float = 0.0
    _places: dict[TaskId, _Place] = field(default_factory=dict)
    _order: SortedList = field(default_factory=SortedList)
    _late: SortedList = field(default_factory=SortedList)
    _by_doom: SortedList = field(default_factory=SortedList)
    _by_hope: SortedList = field(default_factory=SortedList)
    _by_worth: SortedList = field(default_factory=SortedList)
    _by_age: SortedList = field(default_factory=SortedList)
    guard: Guard = field(init=False)

    def __post_init__(self) -> None:
        self.guard = Guard(policy=self.policy)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._places

    def get(self, task_id: TaskId) -> Task | None:
        place = self._places.get(task_id)
        return None if place is None else place.task

    def add(self, task: Task, cached_tokens: int = 0) -> None:
        """A second add of the same id changes nothing. What an engine is believed to hold of its
        prompt counts neither as work nor against its promise."""
        if task.id in self._places:
            return
        place = self._placed(task, _without(task, cached_tokens))
        self._places[task.id] = place
        self._order.add(place.key)
        self._by_worth.add(place.worthless)
        self._by_age.add(place.received)
        if place.doomed is not None:
            self._by_doom.add(place.doomed)
        if place.hopeless is not None:
            self._by_hope.add(place.hopeless)
        self.queued[task.latency_class] += 1
        self.work_s[task.latency_class] += place.work_s
        self._promised_s += place.promised_s

    def remove(self, task_id: TaskId) -> Task | None:
        place = self._places.pop(task_id, None)
        if place is None:
            return None
        (self._late if place.is_late else self._order).remove(place.key)
        self._by_worth.remove(place.worthless)
        self._by_age.remove(place.received)
        if place.doomed is not None and not place.is_late:
            self._by_doom.remove(place.doomed)
        if place.hopeless is not None:
            self._by_hope.remove(place.hopeless)
        self.queued[place.task.latency_class] -= 1
        self.work_s[place.task.latency_class] -= place.work_s
        self._promised_s -= place.promised_s
        if place.is_late:
            self._late_s -= place.work_s
        return place.task

    def relegate(self, now: float) -> None:
        """Whoever can only be late from now on goes behind all others."""
        while self._by_doom and self._by_doom[0][0] <= now:
            _, task_id = self._by_doom.pop(0)
            place = self._places[task_id]
            self._order.remove(place.key)
            self._late.add(place.key)
            self._promised_s -= place.promised_s
            place.promised_s, place.is_late = 0.0, True
            self._late_s += place.work_s

    def heads(self) -> Iterator[Task]:
        """Who can still be on time, in the policy's order. Do not change the backlog meanwhile."""
        for _, task_id in self._order:
            yield self._places[task_id].task

    def latecomers(self) -> Iterator[Task]:
        """Who can only be late, in the same order."""
        for _, task_id in self._late:
            yield self._places[task_id].task

    def worthless(self, now: float) -> tuple[Task, ...]:
        """Those whose answer nobody would want any more, the longest worthless first."""
        return self._due(self._by_worth, now)

    def hopeless(self, now: float) -> tuple[Task, ...]:
        """Those whom the policy would rather give up than start."""
        return self._due(self._by_hope, now)

    def gives_up(self, now: float) -> bool:
        """Is anybody worthless or hopeless?"""
        return _is_due(self._by_worth, now) or _is_due(self._by_hope, now)

    def older_than(self, received_at: float) -> Iterator[Task]:
        """Those received before that instant, oldest first; costs only what is walked."""
        for instant, task_id in self._by_age:
            if not instant < received_at:
                return
            yield self._places[task_id].task

    def promised(self, now: float) -> Iterator[tuple[float, float]]:
        """Those who can still be on time: in how many seconds they are due, and their work."""
        for _, task_id in self._order:
            place = self._places[task_id]
            yield place.task.deadline_at - now, place.work_s

    def pressure_s(self) -> float:
        """How long the fleet would work on the promises that wait and can still be kept."""
        return max(0.0, self._promised_s) / max(1, self.workers)

    def late_s(self) -> float:
        """How long it would work on those who can only be late: who came too late for some time."""
        return max(0.0, self._late_s) / max(1, self.workers)

    def ahead_of(self, task: Task) -> int:
        """How many would be served before this newcomer?"""
        return int(self._order.bisect_left(self._key(task)))

    def _placed(self, task: Task, left: Task) -> _Place:
        """`left` is the task with the prompt that is left to prefill."""
        useful_until = None if task.useful_s is None else task.received_at + task.useful_s
        work_s = self.guard.work_s(left, self.cost)
        return _Place(
            task,
            self._key(left),
            (_instant(useful_until), task.id),
            (_instant(task.received_at), task.id),
            _due(self.guard.hopeless_at(left, self.cost), task.id),
            _due(self.guard.doomed_at(left, self.cost), task.id),
            work_s,
            0.0 if task.latency_class is LatencyClass.BATCH else work_s,
        )

    def _key(self, task: Task) -> Key:
        return (self.guard.rank(task, self.cost, self.pressure_s()), task.id)

    def _due(self, instants: SortedList, now: float) -> tuple[Task, ...]:
        if not _is_due(instants, now):
            return ()
        due = takewhile(lambda each: each[0] < now, instants)
        return tuple(self._places[task_id].task for _, task_id in due)


def _without(task: Task, cached_tokens: int) -> Task:
    if not cached_tokens:
        return task
    said = task.prediction
    left = replace(said, prompt_tokens=max(1, said.prompt_tokens - cached_tokens))
    return replace(task, prediction=left)


def _is_due(instants: SortedList, now: float) -> bool:
    """When the clock says nonsense nothing is."""
    return bool(instants) and bool(instants[0][0] < now)


def _instant(value: float | None) -> float:
    return math.inf if value is None or math.isnan(value) else value


def _due(at: float, task_id: TaskId) -> Due | None:
    """None for never, and for nonsense."""
    return (at, task_id) if math.isfinite(at) else None
