"""One step of scheduling, decided as a value: who starts where, and who is given up."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Final, NamedTuple

from shared.domain.task import Task, TaskId
from shared.scheduling.backlog import Backlog
from shared.scheduling.fleet import Fleet
from shared.scheduling.policy import Home, WorkerView

# A policy that declined so many in a row is not asked about ten thousand more in this step.
_DECLINED: Final = 64
# Who waits among too many late ones waits until some of them are given up.
_CROWD_S: Final = 0.25


class Assignment(NamedTuple):
    task: Task
    worker: WorkerView


class Plan(NamedTuple):
    """`expired`: those whose answer has become worthless; `shed`: those whom a start can only
    bring too late. Whoever is not named here waits, until `look_again_at` if nothing happens."""

    dispatch: tuple[Assignment, ...]
    expired: tuple[Task, ...]
    shed: tuple[Task, ...] = ()
    look_again_at: float = math.inf


def homeless(task: Task) -> Home | None:
    """Where no engine keeps what it has prefilled."""
    return None


def plan(
    backlog: Backlog,
    fleet: Fleet | Iterable[WorkerView],
    *,
    now: float,
    starvation_s: float,
    home_of: Callable[[Task], Home | None] = homeless,
) -> Plan:
    """Send tasks in the policy's order to workers that will soon have nothing left to prefill.

    Whoever has waited longer than `starvation_s` goes before that order, oldest first, whatever the
    policy says. Whoever has a home may wait for it. Takes nothing out of the backlog or the fleet
    and raises nothing: where a policy or a prediction makes no sense, the earliest deadline
    decides, and the backlog's guard counts it. A Fleet is in order already, others are put so.
    """
    backlog.relegate(now)
    expired = backlog.worthless(now)
    gone = {task.id for task in expired}
    starved_at = now - starvation_s
    shed = backlog.hopeless(now)
    if shed:
        shed = tuple(
            task for task in shed if task.id not in gone and not task.received_at < starved_at
        )
        gone.update(task.id for task in shed)
    in_order = fleet if isinstance(fleet, Fleet) else Fleet(fleet)
    room = _Room(backlog, in_order, now, starved_at, home_of)
    on_time = room.fill(chain(backlog.older_than(starved_at), backlog.heads()), gone, room.window_s)
    late = room.fill_late(gone)
    return Plan(
        dispatch=(*on_time, *late),
        expired=expired,
        shed=shed,
        look_again_at=room.opens_at(gone),
    )


class _Room:
    """What the fleet can still be sent in this step."""

    def __init__(
        self,
        backlog: Backlog,
        fleet: Fleet,
        now: float,
        starved_at: float,
        home_of: Callable[[Task], Home | None],
    ) -> None:
        self._backlog = backlog
        self._guard = backlog.guard
        self._fleet = fleet
        self._is_untouched = True
        self._now = now
        self._starved_at = starved_at
        self._home_of = home_of
        self._pressure_s = backlog.pressure_s()
        self._is_late_crowded = backlog.late_s() > self._guard.late_limit_s()

    def fill(
        self,
        waiting: Iterator[Task],
        gone: set[TaskId],
        window_s: Callable[[Task], float],
        *,
        only_idle: bool = False,
    ) -> tuple[Assignment, ...]:
        sent: list[Assignment] = []
        declined = 0
        for task in waiting:
            if task.id in gone:
                continue
            free = self._fleet.open(self._now, window_s(task))
            if only_idle:
                free = [each for each in free if not each.held]
            if not free or declined == _DECLINED:
                break
            worker = self._worker_for(task, free)
            if worker is None:
                declined += 1
                continue
            declined = 0
            gone.add(task.id)
            sent.append(Assignment(task=task, worker=worker))
            if self._is_nobody_left(gone):
                break
            self._occupy(worker, task)
        return tuple(sent)

    def fill_late(self, gone: set[TaskId]) -> tuple[Assignment, ...]:
        if self._is_nobody_left(gone):
            return ()
        late_window_s = self._guard.late_window_s()
        waiting = self._backlog.latecomers()
        return self.fill(waiting, gone, lambda _: late_window_s, only_idle=self._is_late_crowded)

    def window_s(self, task: Task) -> float:
        return self._guard.window_s(task, self._backlog.cost)

    def opens_at(self, gone: set[TaskId]) -> float:
        """When the next worker may be sent something, if anybody waits for it.

        Whoever is open already was declined: only some change can help.
        """
        if self._is_nobody_left(gone):
            return math.inf
        head = next((task for task in self._backlog.heads() if task.id not in gone), None)
        window_s = self._guard.late_window_s() if head is None else self.window_s(head)
        opens_at = self._fleet.opens_at(self._now, window_s)
        is_watched = self._is_late_crowded and self._fleet.is_open(self._now, math.inf)
        return min(opens_at, self._now + _CROWD_S) if is_watched else opens_at

    def _is_nobody_left(self, gone: set[TaskId]) -> bool:
        return len(gone) == len(self._backlog)

    def _worker_for(self, task: Task, free: Sequence[WorkerView]) -> WorkerView | None:
        """Nobody is declined for ever, whatever the policy says."""
        home, cost = self._home_of(task), self._backlog.cost
        if home is not None and self._guard.goes_home(task, home, self._now, cost):
            worker = next((each for each in free if each.name == home.worker.name), None)
        else:
            worker = self._guard.place(task, free, self._now, cost, self._pressure_s)
        if worker is None and task.received_at < self._starved_at:
            return free[0]
        return worker

    def _occupy(self, worker: WorkerView, task: Task) -> None:
        """In a fleet of its own, so that a plan is only a plan."""
        if self._is_untouched:
            self._fleet = self._fleet.copy()
            self._is_untouched = False
        prefill_s = self._guard.first_token_s(task, worker.cost or self._backlog.cost)
        self._fleet.remove(worker)
        self._fleet.add(worker.served(task, now=self._now, prefill_s=prefill_s))
