"""The simulated scheduler: the live plan over the live backlog, fed with reports of some age."""

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from loadgen.simulator.worker import Report
from shared.domain.task import Task, TaskId
from shared.scheduling.backlog import Backlog
from shared.scheduling.cost import pooled
from shared.scheduling.fleet import Fleet
from shared.scheduling.plan import Plan, homeless, plan
from shared.scheduling.policy import Begun, Home, WorkerView, side
from shared.scheduling.prefixes import Homes
from shared.scheduling.residual import drained_at
from shared.scheduling.step_time import StepTime


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
    """Plans when somebody waits and some worker may be sent something.

    `sent_s`: predicted GPU-seconds of all that was sent so far.
    """

    backlog: Backlog
    seats: list[Seat]
    hop_s: float
    starvation_s: float
    homes: Homes = field(default_factory=Homes)
    sent_s: float = 0.0
    _fleet: Fleet = field(default_factory=Fleet)

    def __post_init__(self) -> None:
        for number, seat in enumerate(self.seats):
            at_side, inside = side(number, self.backlog.workers), self._inside(seat)
            seat.view = replace(seat.view, side=at_side, tasks=inside)
            self._fleet.add(seat.view)

    def hear(self, report: Report) -> None:
        """The report is right about all it counts; what was sent since comes on top."""
        seat = self.seats[report.worker]
        while len(seat.unheard) > seat.sent - report.received:
            seat.unheard.popleft()
        for task_id in report.ended:
            seat.tasks.pop(task_id, None)
        at = drained_at(reported_at=report.at, residual_s=report.residual_s, unheard=seat.unheard)
        held = report.held + len(seat.unheard)
        self._set(seat, self._heard(seat, held, at, side(report.worker, self.backlog.workers)))
        if report.step_time is not None:
            self._learn_cost(seat, report.step_time)

    def _learn_cost(self, seat: Seat, step_time: StepTime) -> None:
        self._set(seat, replace(seat.view, cost=self.backlog.cost.measured(step_time)))
        costs = (each.view.cost for each in self.seats)
        self.backlog.cost = pooled([cost for cost in costs if cost is not None])

    def resize(self, worker: int, slots: int) -> None:
        """From now on it takes so many; with 0 it gets nothing new."""
        seat = self.seats[worker]
        self._set(seat, replace(seat.view, slots=slots, tasks=self._inside(seat)))

    def step(self, now: float) -> Plan:
        window_s = self._window_s(now)
        if not self._fleet.is_open(now, window_s) and not self.backlog.gives_up(now):
            look_again_at = self._fleet.opens_at(now, window_s)
            return Plan(dispatch=(), expired=(), look_again_at=look_again_at)
        decided = plan(
            self.backlog,
            self._fleet,
            now=now,
            starvation_s=self.starvation_s,
            home_of=self._home_at(now) if self.homes.trust else homeless,
        )
        for assignment in decided.dispatch:
            self._send(assignment.task, assignment.worker, now)
        for task in (*decided.expired, *decided.shed):
            self.backlog.remove(task.id)
        return decided

    def _window_s(self, now: float) -> float:
        """Of who is next."""
        self.backlog.relegate(now)
        guard, head = self.backlog.guard, next(self.backlog.heads(), None)
        return guard.late_window_s() if head is None else guard.window_s(head, self.backlog.cost)

    def wait(self, task: Task) -> None:
        self.backlog.add(task, self.homes.likely_tokens(task))

    def is_idle(self) -> bool:
        return not len(self.backlog)

    def _send(self, task: Task, worker: WorkerView, now: float) -> None:
        self.backlog.remove(task.id)
        seat = self.seats[worker.to_partition]
        seat.sent += 1
        self.sent_s += self.backlog.cost.work_s(task)
        cached_tokens = self.homes.cached_tokens(task, seat.view) if self.homes.trust else 0
        prefill_s = (seat.view.cost or self.backlog.cost).first_token_s(task, cached_tokens)
        self.homes.sent(task, seat.view)
        seat.unheard.append((now + self.hop_s, prefill_s))
        self._set(seat, seat.view.served(task, now=now, prefill_s=prefill_s, hop_s=self.hop_s))
        seat.tasks[task.id] = Begun(task, now)

    def _home_at(self, now: float) -> Callable[[Task], Home | None]:
        return lambda task: self.homes.home(
            task, now, lambda then: self.seats[then.to_partition].view
        )

    def _set(self, seat: Seat, view: WorkerView) -> None:
        self._fleet.remove(seat.view)
        self._fleet.add(view)
        seat.view = view

    def _inside(self, seat: Seat) -> Collection[Begun] | None:
        """Seen through: to copy what all hold for each plan would cost more than the plan."""
        return seat.tasks.values() if self.backlog.policy.looks_inside else None

    def _heard(self, seat: Seat, held: int, drained_at: float, side: int | None) -> WorkerView:
        """Written out: `replace` takes four times as long."""
        view = seat.view
        return WorkerView(
            name=view.name,
            to_partition=view.to_partition,
            slots=view.slots,
            held=held,
            served_at=view.served_at,
            drained_at=drained_at,
            tasks=self._inside(seat),
            cost=view.cost,
            side=side,
        )
