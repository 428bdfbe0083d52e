"""One step of scheduling, decided as a value: who starts where, and who is given up."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from shared.domain.task import Task, TaskId
from shared.scheduling.backlog import Backlog
from shared.scheduling.policy import Home, WorkerView, soonest_drained

# A policy that declined so many in a row is not asked about ten thousand more in this step.
_DECLINED: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    task: Task
    worker: WorkerView


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
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
    fleet: Sequence[WorkerView],
    *,
    now: float,
    starvation_s: float,
    home_of: Callable[[Task], Home | None] = homeless,
) -> Plan:
    """Send tasks in the policy's order to workers that will soon have nothing left to prefill.

    Whoever has waited longer than `starvation_s` goes before that order, oldest first, whatever the
    policy says. Whoever has a home may wait for it. Takes nothing out of the backlog and raises
    nothing: where a policy or a prediction makes no sense, the earliest deadline decides, and the
    backlog's guard counts it.
    """
    backlog.relegate(now)
    expired = backlog.worthless(now)
    gone = {task.id for task in expired}
    starved_at = now - starvation_s
    shed = tuple(
        task
        for task in backlog.hopeless(now)
        if task.id not in gone and not task.received_at < starved_at
    )
    gone.update(task.id for task in shed)
    room = _Room(backlog, fleet, now, starved_at, home_of)
    on_time = room.fill(
        chain(backlog.older_than(starved_at), backlog.heads()), gone, backlog.guard.window_s()
    )
    late = room.fill(backlog.latecomers(), gone, backlog.guard.late_window_s())
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
        fleet: Sequence[WorkerView],
        now: float,
        starved_at: float,
        home_of: Callable[[Task], Home | None],
    ) -> None:
        self._backlog = backlog
        self._guard = backlog.guard
        self._now = now
        self._starved_at = starved_at
        self._home_of = home_of
        self._pressure_s = backlog.pressure_s()
        self._free = {worker.name: worker for worker in fleet if worker.is_free()}

    def fill(
        self, waiting: Iterator[Task], gone: set[TaskId], window_s: float
    ) -> tuple[Assignment, ...]:
        if not self._free:
            return ()
        until = self._now + window_s
        open_: dict[str, WorkerView] | None = None
        sent: list[Assignment] = []
        declined = 0
        for task in waiting:
            if task.id in gone:
                continue
            if open_ is None:
                open_ = {
                    name: each for name, each in self._free.items() if each.drained_at <= until
                }
            if not open_:
                break
            worker = self._worker_for(task, open_)
            if worker is None:
                declined += 1
                if declined == _DECLINED:
                    break
                continue
            declined = 0
            gone.add(task.id)
            sent.append(Assignment(task=task, worker=worker))
            self._occupy(worker, task, open_, until)
        return tuple(sent)

    def _worker_for(self, task: Task, open_: dict[str, WorkerView]) -> WorkerView | None:
        """Nobody is declined for ever, whatever the policy says."""
        home, cost = self._home_of(task), self._backlog.cost
        if home is not None and self._guard.goes_home(task, home, self._now, cost):
            worker = open_.get(home.worker.name)
        else:
            worker = self._guard.place(task, open_, self._now, cost, self._pressure_s)
        if worker is None and task.received_at < self._starved_at:
            return soonest_drained(tuple(open_.values()), self._now)
        return worker

    def opens_at(self, gone: set[TaskId]) -> float:
        """When the next worker may be sent something, if anybody waits for it."""
        if len(gone) == len(self._backlog) or not self._free:
            return math.inf
        is_on_time = any(task.id not in gone for task in self._backlog.heads())
        window_s = self._guard.window_s() if is_on_time else self._guard.late_window_s()
        opens_at = (worker.drained_at - window_s for worker in self._free.values())
        # Whoever is open already was declined: only some change can help.
        return min((at for at in opens_at if at > self._now), default=math.inf)

    def _occupy(
        self, worker: WorkerView, task: Task, open_: dict[str, WorkerView], until: float
    ) -> None:
        prefill_s = self._guard.first_token_s(task, worker.cost or self._backlog.cost)
        served = worker.served(task, now=self._now, prefill_s=prefill_s)
        if not served.is_free():
            del self._free[worker.name], open_[worker.name]
            return
        self._free[worker.name] = open_[worker.name] = served
        if served.drained_at > until:
            del open_[worker.name]
