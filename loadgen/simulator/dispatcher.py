"""The simulated scheduler: the live plan over the live backlog, fed with reports of some age."""

import math
from collections import deque
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from typing import Final

from loadgen.simulator.worker import Report
from shared.domain.task import Task, TaskId
from shared.scheduling.backlog import Backlog
from shared.scheduling.cost import pooled
from shared.scheduling.plan import Plan, plan
from shared.scheduling.policy import Begun, Home, WorkerView, side
from shared.scheduling.prefixes import Sessions
from shared.scheduling.residual import drained_at
from shared.scheduling.step_time import StepTime

_NOTHING: Final = Plan(dispatch=(), expired=())


@dataclass(slots=True)
class Seat:
    """What the scheduler knows of one worker. `unheard` are the prompts no report has counted yet:
    when each will be there, and how long its prefill takes."""

    view: WorkerView
    sent: int = 0
    tasks: dict[TaskId, Begun] = field(default_factory=dict)
    unheard: deque[tuple[float, float]] = field(default_factory=deque)


@dataclass(slots=True, kw_only=True)
class Dispatcher:
    """Only workers that may be sent something are planned with; the others wait for their time.

    `sent_s`: predicted GPU-seconds of all that was sent so far.
    """

    backlog: Backlog
    seats: list[Seat]
    hop_s: float
    starvation_s: float
    sessions: Sessions = field(default_factory=Sessions)
    sent_s: float = 0.0
    _open: dict[int, Seat] = field(default_factory=dict)
    _closed: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for number, seat in enumerate(self.seats):
            seat.view = replace(seat.view, side=side(number, self.backlog.workers))
        self._open = dict(enumerate(self.seats))

    def hear(self, report: Report) -> None:
        """The report is right about all it counts; what was sent since comes on top."""
        seat = self.seats[report.worker]
        while len(seat.unheard) > seat.sent - report.received:
            seat.unheard.popleft()
        for task_id in report.ended:
            seat.tasks.pop(task_id, None)
        at = drained_at(reported_at=report.at, residual_s=report.residual_s, unheard=seat.unheard)
        held = report.held + len(seat.unheard)
        self._set(
            report.worker, _heard(seat.view, held, at, side(report.worker, self.backlog.workers))
        )
        if report.step_time is not None:
            self._learn_cost(seat, report.step_time)

    def _learn_cost(self, seat: Seat, step_time: StepTime) -> None:
        seat.view = replace(seat.view, cost=self.backlog.cost.measured(step_time))
        costs = (each.view.cost for each in self.seats)
        self.backlog.cost = pooled([cost for cost in costs if cost is not None])

    def resize(self, worker: int, slots: int) -> None:
        """From now on it takes so many; with 0 it gets nothing new."""
        self._set(worker, replace(self.seats[worker].view, slots=slots))

    def step(self, now: float) -> Plan:
        self._open_in_time(now)
        if not self._open and not self.backlog.gives_up(now):
            return _NOTHING
        looks_inside = self.backlog.policy.looks_inside
        views = [
            replace(seat.view, tasks=tuple(seat.tasks.values())) if looks_inside else seat.view
            for seat in self._open.values()
        ]
        decided = plan(
            self.backlog,
            views,
            now=now,
            starvation_s=self.starvation_s,
            home_of=self._home,
        )
        for assignment in decided.dispatch:
            self._send(assignment.task, assignment.worker, now)
        for task in (*decided.expired, *decided.shed):
            self.backlog.remove(task.id)
        return decided

    def is_idle(self) -> bool:
        return not len(self.backlog)

    def look_again_at(self, decided: Plan, now: float) -> float:
        """When the next worker may be sent something, if anybody waits for it."""
        if self.is_idle():
            return math.inf
        closed_at = self._closed[0][0] if self._closed else math.inf
        if decided.look_again_at > now:
            closed_at = min(closed_at, decided.look_again_at)
        return max(closed_at, now)

    def _send(self, task: Task, worker: WorkerView, now: float) -> None:
        self.backlog.remove(task.id)
        number = worker.to_partition
        seat = self.seats[number]
        seat.sent += 1
        seat.tasks[task.id] = Begun(task, now)
        self.sent_s += self.backlog.cost.work_s(task)
        cached_tokens = self.sessions.cached_tokens(task, seat.view)
        prefill_s = (seat.view.cost or self.backlog.cost).first_token_s(task, cached_tokens)
        self.sessions.sent(task, seat.view)
        seat.unheard.append((now + self.hop_s, prefill_s))
        self._set(number, seat.view.served(task, now=now, prefill_s=prefill_s, hop_s=self.hop_s))

    def _home(self, task: Task) -> Home | None:
        return self.sessions.home(task, lambda then: self.seats[then.to_partition].view)

    def _set(self, number: int, view: WorkerView) -> None:
        """A worker that is not yet due waits in the heap; one that is full waits for its report."""
        seat = self.seats[number]
        seat.view = view
        self._open.pop(number, None)
        if view.is_free():
            heappush(self._closed, (view.drained_at - self.backlog.policy.window_s, number))

    def _open_in_time(self, now: float) -> None:
        window_s = self.backlog.policy.window_s
        while self._closed and self._closed[0][0] <= now:
            opens_at, number = heappop(self._closed)
            seat = self.seats[number]
            is_current = seat.view.drained_at - window_s == opens_at or opens_at == -math.inf
            if is_current and seat.view.is_free():
                self._open[number] = seat


def _heard(view: WorkerView, held: int, drained_at: float, side: int | None) -> WorkerView:
    """Written out: `replace` takes four times as long."""
    return WorkerView(
        name=view.name,
        to_partition=view.to_partition,
        slots=view.slots,
        held=held,
        served_at=view.served_at,
        drained_at=drained_at,
        cost=view.cost,
        side=side,
    )
