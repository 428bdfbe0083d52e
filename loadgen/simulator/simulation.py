"""Discrete events: nothing happens between an arrival, a hop's end and the end of a step."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from heapq import heappop, heappush

from loadgen.report.observation import Ending, Observation
from loadgen.simulator.dispatcher import Dispatcher, Seat
from loadgen.simulator.ledger import Ledger
from loadgen.simulator.ride import Ride, Then
from loadgen.simulator.setting import House
from loadgen.simulator.worker import Report, Stage, Worker
from loadgen.workloads.arrival import Arrival
from shared.domain.task import Task, TaskId
from shared.scheduling.backlog import Backlog
from shared.scheduling.policy import WorkerView
from shared.scheduling.prefixes import Homes

Happening = Callable[[float], object]
Judge = Callable[[Observation], None]


@dataclass(slots=True, kw_only=True)
class Simulation:
    """`useful_s` is engine time inside the window that went to promises that were kept, `wasted_s`
    what went to those whose client left before.

    The fleet may change while it runs: whoever scales it asks for a moment (`at`), looks at the
    backlog there, and lets workers `join` or `drain`.
    """

    house: House
    judge: Judge
    useful_s: float = 0.0
    wasted_s: float = 0.0
    ended_at: float = 0.0
    dispatcher: Dispatcher = field(init=False)
    workers: list[Worker] = field(init=False)
    _queued: dict[TaskId, Ride] = field(default_factory=dict)
    _events: list[tuple[float, int, Happening]] = field(default_factory=list)
    _count: int = 0
    _unended: int = 0
    _looks_at: float = math.inf

    def __post_init__(self) -> None:
        house = self.house
        self.workers = [self._worker(number, Stage.SERVING) for number in range(house.workers)]
        self.dispatcher = Dispatcher(
            backlog=Backlog(policy=house.policy, cost=house.cost, workers=house.workers),
            seats=[Seat(_unknown(number, house.slots)) for number in range(house.workers)],
            hop_s=house.hop_s,
            starvation_s=house.starvation_s,
            homes=Homes(trust=1.0 if house.prefix_share else 0.0),
        )

    def run(self, rides: Iterable[tuple[Arrival, Task]]) -> None:
        """In the order of arrival; returns when the last of them has ended."""
        events = self._events
        arriving = iter(rides)
        coming = next(arriving, None)
        while coming is not None or self._unended:
            if coming is not None and (not events or coming[0].at_s <= events[0][0]):
                self._arrive(*coming)
                coming = next(arriving, None)
            else:
                self.ended_at, _, happening = heappop(events)
                happening(self.ended_at)

    def ask(self, arrival: Arrival, task: Task, then: Then) -> Ride:
        """One more that comes at its time; its end is told to `then`, and not judged."""
        ride = Ride(arrival, task, then=then)
        self._unended += 1
        self.at(arrival.at_s, partial(self._meet, ride))
        return ride

    def cancel(self, ride: Ride, now: float) -> None:
        """Nobody wants it any more, wherever it is."""
        if ride.is_over:
            return
        if self._queued.pop(ride.task.id, None) is not None:
            self.dispatcher.backlog.remove(ride.task.id)
        elif ride.worker is not None:
            worker = self.workers[ride.worker]
            self.at(now + self.house.hop_s, partial(self._revoke, worker, ride))
        self._end(ride, Ending.CANCELLED, now)

    def at(self, at: float, happening: Happening) -> None:
        """Let it happen then, unless the last request has ended by that time."""
        self._count += 1
        heappush(self._events, (at, self._count, happening))

    def join(self, now: float, *, load_s: float = 0.0) -> Worker:
        """One more worker: paid for from now on, of use when it has loaded its model."""
        worker = self._worker(len(self.workers), Stage.LOADING, joined_at=now)
        self.workers.append(worker)
        self.dispatcher.seats.append(Seat(_unknown(worker.number, slots=0)))
        self.at(now + load_s, partial(self._open, worker))
        return worker

    def drain(self, worker: Worker, now: float) -> None:
        """It gets nothing new and leaves when all it holds has ended. Raises ValueError for the
        last one that serves: nobody would be left for those who wait."""
        others = (each for each in self.workers if each is not worker)
        if not any(each.stage is Stage.SERVING for each in others):
            raise ValueError(
                "the last worker that serves cannot be drained; let another join first"
            )
        worker.stage = Stage.LEAVING
        self._resize(worker, slots=0)
        self._release(worker, now)

    def provisioned_s(self, until: float) -> float:
        """Worker-seconds paid for by then, loading and draining included."""
        return sum(
            max(0.0, min(each.left_at, until) - min(each.joined_at, until)) for each in self.workers
        )

    def _worker(self, number: int, stage: Stage, *, joined_at: float = 0.0) -> Worker:
        return Worker(
            number=number,
            profile=self.house.profile,
            feeder=self.house.feeder,
            ledger=Ledger(self.house.profile.step_time, self.house.window_s),
            stage=stage,
            speed=None if self.house.new_speed is None else self.house.new_speed(),
            joined_at=joined_at,
            prefix_share=self.house.prefix_share,
        )

    def _open(self, worker: Worker, now: float) -> None:
        if worker.stage is Stage.LOADING:
            worker.stage = Stage.SERVING
            self._resize(worker, slots=self.house.slots)
            self._dispatch(now)

    def _resize(self, worker: Worker, *, slots: int) -> None:
        self.dispatcher.resize(worker.number, slots)
        self.dispatcher.backlog.workers = sum(each.stage is Stage.SERVING for each in self.workers)

    def _release(self, worker: Worker, now: float) -> None:
        if worker.stage is Stage.LEAVING and not self.dispatcher.seats[worker.number].tasks:
            worker.left_at = min(worker.left_at, now)

    def _arrive(self, arrival: Arrival, task: Task) -> None:
        self._unended += 1
        ride = Ride(arrival, task)
        if arrival.cancel_at_s is not None:
            self.at(arrival.cancel_at_s + self.house.hop_s, partial(self.cancel, ride))
        self._meet(ride, arrival.at_s)

    def _meet(self, ride: Ride, now: float) -> None:
        if not ride.is_over:
            self._queue(ride)
            self._dispatch(now)

    def _dispatch(self, now: float) -> None:
        if self.dispatcher.is_idle():
            return
        decided = self.dispatcher.step(now)
        for task in decided.expired:
            self._end(self._queued.pop(task.id), Ending.EXPIRED, now)
        for task in decided.shed:
            self._refuse(self._queued.pop(task.id), now)
        for assignment in decided.dispatch:
            ride = self._queued.pop(assignment.task.id)
            worker = self.workers[assignment.worker.to_partition]
            ride.worker = worker.number
            self.at(now + self.house.hop_s, partial(self._receive, worker, ride))
        if decided.look_again_at < self._looks_at:
            self._looks_at = decided.look_again_at
            self.at(self._looks_at, self._look)

    def _refuse(self, ride: Ride, now: float) -> None:
        """Its client may ask again: to it that is the same request, to the scheduler another."""
        if ride.refusals >= self.house.retries:
            self._end(ride, Ending.SHED, now)
            return
        backoff_s = self.house.backoff_s * 2**ride.refusals
        ride.refusals += 1
        self.at(now + self.house.hop_s + backoff_s, partial(self._ask_again, ride))

    def _ask_again(self, ride: Ride, now: float) -> None:
        if not ride.is_over:
            task_id = TaskId(f"{ride.task.id}/again")
            ride.task = replace(ride.task, id=task_id, received_at=now)
            self._queue(ride)
            self._dispatch(now)

    def _queue(self, ride: Ride) -> None:
        ride.priority = self.dispatcher.backlog.guard.engine_priority(ride.task, self.house.cost)
        self._queued[ride.task.id] = ride
        self.dispatcher.wait(ride.task)

    def _look(self, now: float) -> None:
        if now >= self._looks_at:
            self._looks_at = math.inf
            self._dispatch(now)

    def _receive(self, worker: Worker, ride: Ride, now: float) -> None:
        worker.receive(ride)
        if ride.is_over:
            worker.leave(ride)
        elif worker.is_idle:
            self._begin(worker, now)
        else:
            self._cut(worker, now)

    def _begin(self, worker: Worker, now: float, *, has_changed: bool = False) -> None:
        has_changed |= worker.begin(now)
        self._await_end(worker)
        if has_changed or (worker.waiting and now - worker.reported_at >= self.house.report_s):
            self._report_soon(worker, now)

    def _cut(self, worker: Worker, now: float) -> None:
        if worker.cut(now):
            self._await_end(worker)

    def _await_end(self, worker: Worker) -> None:
        if not worker.is_idle:
            self.at(worker.ends_at, partial(self._end_step, worker, worker.turn))

    def _end_step(self, worker: Worker, turn: int, now: float) -> None:
        if turn != worker.turn:
            return
        finished = worker.end(now)
        for ride in finished:
            self._end(ride, Ending.ANSWERED, now)
        self._begin(worker, now, has_changed=bool(finished))

    def _report_soon(self, worker: Worker, now: float) -> None:
        """Changes shortly after one another share a report."""
        if worker.is_report_due:
            return
        due_at = max(now, worker.reported_at + self.house.apart_s)
        if due_at == now and not (self._events and self._events[0][0] <= now):
            self._report(worker, now)
            return
        # What happens at the very same instant is in it, too.
        worker.is_report_due = True
        self.at(due_at, partial(self._report, worker))

    def _report(self, worker: Worker, now: float) -> None:
        worker.is_report_due = False
        report = worker.report(now)
        self.at(now + self.house.hop_s, partial(self._hear, report))

    def _hear(self, report: Report, now: float) -> None:
        self.dispatcher.hear(report)
        self._release(self.workers[report.worker], now)
        self._dispatch(now)

    def _revoke(self, worker: Worker, ride: Ride, now: float) -> None:
        if ride.sequence in worker.rides or ride in worker.waiting:
            self._cut(worker, now)
            worker.leave(ride)
            self._waste(ride)
            self._report_soon(worker, now)

    def _end(self, ride: Ride, ending: Ending, now: float) -> None:
        """Once: whoever was cancelled before may still come out of the engine."""
        if ride.is_over:
            self._waste(ride)
            return
        ride.is_over = True
        self._unended -= 1
        if ride.then is not None:
            ride.then(ride, ending, now)
            return
        arrival = ride.arrival
        if arrival.cancel_at_s is not None and now > arrival.cancel_at_s:
            ending = Ending.SUPERSEDED if arrival.superseded else Ending.CANCELLED
        alone_s = self.house.profile.alone_s(arrival.prompt_tokens, arrival.output_tokens)
        observed = ride.observed(ending, now, alone_s)
        ride.is_kept = observed.is_kept()
        if ride.is_kept:
            self.useful_s += ride.used_s
        self.judge(observed)

    def _waste(self, ride: Ride) -> None:
        if not ride.is_kept:
            self.wasted_s += ride.used_s


def _unknown(number: int, slots: int) -> WorkerView:
    return WorkerView(name=f"worker-{number + 1}", to_partition=number, slots=slots, held=0)
