"""The mirror is the leader's memory of the queue: reading ten thousand heads from Redis is slow."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from services.scheduler.fleet import Fleet, Seat
from services.scheduler.links import Links
from shared.domain.fence import Fence
from shared.domain.task import LatencyClass, Task, TaskId
from shared.messages.bus import Position
from shared.scheduling.backlog import Backlog
from shared.scheduling.cost import Cost, pooled
from shared.scheduling.policy import Begun, Home, WorkerView, side
from shared.scheduling.prefixes import Homes
from shared.scheduling.queue import Entry, Lease, Put
from shared.scheduling.residual import drained_at

# From a claim to the worker's local backlog, as measured on a laptop.
_HOP_S: Final = 0.003
# By so much longer takes one dispatch in ten. A prompt that comes early only waits; for one that
# comes late the engine does a step without any.
_SLOWER_S: Final = 0.003


@dataclass(slots=True, kw_only=True)
class Held:
    """A task some worker has; `reported_at` is when the worker last listed it, None before;
    `known_tokens` of its prompt that worker had been sent before."""

    task: Task
    lease: Lease
    reported_at: float | None = None
    sent_again_at: float = 0.0
    streamed: bool = False
    known_tokens: int = 0


@dataclass(slots=True)
class Arrivals:
    """Tasks that Redis may know already and the mirror does not; the cancelled among them."""

    expected: set[TaskId] = field(default_factory=set)
    cancelled: set[TaskId] = field(default_factory=set)

    def expect(self, task_ids: Sequence[TaskId]) -> None:
        """They stay expected until Redis has answered, however often it has to be asked."""
        self.expected.update(task_ids)

    def came(self, task_ids: Sequence[TaskId]) -> None:
        self.expected.difference_update(task_ids)

    def cancel(self, task_id: TaskId) -> None:
        if task_id in self.expected:
            self.cancelled.add(task_id)

    def is_cancelled(self, task_id: TaskId) -> bool:
        return task_id in self.cancelled


@dataclass(slots=True, kw_only=True)
class Mirror:
    """Follows the store: changed only after Redis has said yes.

    `origins` says where a living task lies in Kafka; tasks found in Redis at the start have none.
    `typical` is the latest task of each class; `arrived_s` and `settled_s` are the predicted work
    that came and that was answered lately, `waits_s` how long a newcomer of each class would wait;
    `prior` is what tasks cost before any worker has told of its speed.
    """

    backlog: Backlog
    fleet: Fleet
    held: dict[TaskId, Held] = field(default_factory=dict)
    by_worker: defaultdict[str, set[TaskId]] = field(default_factory=lambda: defaultdict(set))
    unheard: defaultdict[str, dict[TaskId, Held]] = field(default_factory=lambda: defaultdict(dict))
    links: Links = field(default_factory=Links)
    sessions: defaultdict[str, set[TaskId]] = field(default_factory=lambda: defaultdict(set))
    origins: dict[TaskId, Position | None] = field(default_factory=dict)
    sizes: dict[TaskId, int] = field(default_factory=dict)
    queued_bytes: int = 0
    typical: dict[LatencyClass, Task] = field(default_factory=dict)
    homes: Homes = field(default_factory=Homes)
    arrived_s: float = 0.0
    settled_s: float = 0.0
    waits_s: dict[LatencyClass, float] = field(default_factory=dict)
    arrivals: Arrivals = field(default_factory=Arrivals)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    prior: Cost = field(init=False)

    def __post_init__(self) -> None:
        self.prior = self.backlog.cost

    def wait(self, task: Task, *, origin: Position | None, size: int) -> None:
        """It waits in the store."""
        self.release(task.id)
        # A chain itself is never run: its steps are.
        if not task.stages:
            self.backlog.add(task, self.homes.likely_tokens(task))
            self.typical[task.latency_class] = task
        self._remember(task, origin, size)

    def wait_again(self, task: Task) -> None:
        """It waits in the store after some worker had it, unless it ended meanwhile."""
        if task.id in self.held:
            self.wait(task, origin=self.origins.get(task.id), size=self.sizes[task.id])

    def note(self, entry: Entry, put: Put, position: Position) -> None:
        """What became of a record that was put into the store."""
        if put is Put.QUEUED:
            self.wait(entry.task, origin=position, size=len(entry.body))
            if not entry.task.stages:
                self.arrived_s += self.backlog.guard.work_s(entry.task, self.backlog.cost)
        elif entry.task.id in self.origins:
            # Read again after a failover: now its place in Kafka is known.
            self.origins[entry.task.id] = position

    def dismiss(self, worker: str) -> None:
        """It holds nothing any more, and is gone."""
        self.fleet.leave(worker)
        if not self.by_worker[worker]:
            del self.by_worker[worker]
            self.unheard.pop(worker, None)

    def lend(self, task: Task, lease: Lease, *, reported_at: float | None = None) -> Held:
        """A worker has it."""
        self.backlog.remove(task.id)
        held = self.held[task.id] = Held(task=task, lease=lease, reported_at=reported_at)
        if reported_at is None:
            self.unheard[lease.worker][task.id] = held
        self.by_worker[lease.worker].add(task.id)
        self._remember(task, self.origins.get(task.id), self.sizes.get(task.id, 0))
        return held

    def release(self, task_id: TaskId) -> Held | None:
        """No worker has it any more."""
        held = self.held.pop(task_id, None)
        if held is not None:
            self.by_worker[held.lease.worker].discard(task_id)
            self.unheard[held.lease.worker].pop(task_id, None)
        return held

    def heard(self, held: Held, now: float) -> None:
        """Its worker has listed it."""
        held.reported_at = now
        self.unheard[held.lease.worker].pop(held.task.id, None)

    def forget(self, task_id: TaskId) -> Held | None:
        """It has ended."""
        task = self.task(task_id)
        if task and task.session:
            self._leave(task.session, task_id)
        self.links.forget(task_id, task)
        self.backlog.remove(task_id)
        self.arrivals.cancelled.discard(task_id)
        self.origins.pop(task_id, None)
        self.queued_bytes -= self.sizes.pop(task_id, 0)
        return self.release(task_id)

    def task(self, task_id: TaskId) -> Task | None:
        held = self.held.get(task_id)
        return held.task if held else self.backlog.get(task_id) or self.links.chains.get(task_id)

    def superseded(self, session: str) -> list[Task]:
        """Living completions of this editor session, all but the newest."""
        found = (self.task(task_id) for task_id in self.sessions.get(session, ()))
        living = sorted((task for task in found if task), key=lambda t: (t.received_at, t.id))
        return living[:-1]

    def speaker(self, task_id: TaskId, fence: Fence) -> Held | None:
        """The lease that this fence speaks for; None when it is stale."""
        held = self.held.get(task_id)
        return held if held is not None and held.lease.fence == fence else None

    def living(self) -> Iterator[Task]:
        yield from self.backlog.heads()
        yield from self.backlog.latecomers()
        yield from (held.task for held in self.held.values())

    def learn_costs(self, now: float, heard_within_s: float) -> None:
        """What waits is judged by the mean of the fleet, what is sent by the worker's own speed."""
        listening = self.fleet.listening(now, heard_within_s)
        costs = [seat.learn_cost(self.prior) for seat in listening]
        self.backlog.cost = pooled(costs) if costs else self.prior

    def views(self, now: float, heard_within_s: float) -> list[WorkerView]:
        seats = list(self.fleet.listening(now, heard_within_s))
        self.backlog.workers = len(seats)
        return [
            WorkerView(
                name=seat.name,
                to_partition=seat.to_partition,
                slots=seat.report.slots,
                held=len(self.by_worker[seat.name]),
                served_at=seat.served_at,
                drained_at=self._drained_at(seat) - _SLOWER_S,
                tasks=self._inside(seat) if self.backlog.policy.looks_inside else None,
                cost=seat.cost,
                side=side(number, len(seats)),
            )
            for number, seat in enumerate(seats)
        ]

    def home_among(self, views: Iterable[WorkerView], now: float) -> Callable[[Task], Home | None]:
        """Where the engine has the beginning of a task's prompt cached, as far as is known."""
        now_of = {view.name: view for view in views}
        return lambda task: self.homes.home(task, now, lambda then: now_of.get(then.name))

    def cached_tokens(self, held: Held) -> int:
        """Of its prompt, on its worker, as far as engines keep what they were sent."""
        return self.homes.kept(held.task, held.known_tokens)

    def low_water(self, topic: str) -> dict[int, int] | None:
        """Oldest living offset per partition; None while some task's place in Kafka is unknown."""
        oldest: dict[int, int] = {}
        for origin in self.origins.values():
            if origin is None:
                return None
            if origin.topic == topic:
                seen = oldest.get(origin.partition, origin.offset)
                oldest[origin.partition] = min(seen, origin.offset)
        return oldest

    def _inside(self, seat: Seat) -> tuple[Begun, ...]:
        held = (self.held[task_id] for task_id in self.by_worker[seat.name])
        return tuple(Begun(each.task, each.lease.at) for each in held)

    def _drained_at(self, seat: Seat) -> float:
        sent = sorted(self.unheard[seat.name].values(), key=lambda held: held.lease.at)
        return drained_at(
            reported_at=seat.written_at,
            residual_s=seat.report.residual_s,
            unheard=[(held.lease.at + _HOP_S, self._first_token_s(held, seat)) for held in sent],
        )

    def _first_token_s(self, held: Held, seat: Seat) -> float:
        cost = seat.cost or self.backlog.cost
        return self.backlog.guard.first_token_s(held.task, cost, self.cached_tokens(held))

    def _remember(self, task: Task, origin: Position | None, size: int) -> None:
        self.links.note(task)
        # A step lies nowhere in Kafka: its chain does, for as long as it lives.
        if task.step is None:
            self.origins[task.id] = origin
        self.queued_bytes += size - self.sizes.get(task.id, 0)
        self.sizes[task.id] = size
        if task.supersedes and task.session:
            self.sessions[task.session].add(task.id)

    def _leave(self, session: str, task_id: TaskId) -> None:
        self.sessions[session].discard(task_id)
        if not self.sessions[session]:
            del self.sessions[session]
