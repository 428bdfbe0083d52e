"""The deadline queue without Redis: for tests, stories and simulations, in any time they bring."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from shared.domain.clock import Clock
from shared.domain.errors import Deposed, Unavailable
from shared.domain.fence import Fence
from shared.domain.task import Task, TaskId
from shared.scheduling.queue import Claim, Entry, Lease, Put, Snapshot


@dataclass(slots=True)
class MemoryStore:
    """What several schedulers share, as they would share one Redis."""

    epoch: int | None = None
    is_sealed: bool = False
    leader: tuple[str, float] | None = None
    fences: Iterator[int] = field(default_factory=lambda: count(1))
    tasks: dict[TaskId, Task] = field(default_factory=dict)
    leases: dict[TaskId, Lease] = field(default_factory=dict)
    bodies: dict[TaskId, tuple[bytes, float]] = field(default_factory=dict)
    answers: dict[TaskId, dict[TaskId, bytes]] = field(default_factory=dict)
    endings: dict[TaskId, bytes] = field(default_factory=dict)
    ended_until: dict[TaskId, float] = field(default_factory=dict)
    barred_until: dict[TaskId, float] = field(default_factory=dict)

    def lose_everything(self) -> None:
        """What a restart of Redis without a disk does."""
        empty = MemoryStore()
        for name in self.__slots__:
            setattr(self, name, getattr(empty, name))


class MemoryDeadlineQueue:
    """One scheduler's hold on a store."""

    def __init__(
        self,
        clock: Clock,
        store: MemoryStore | None = None,
        *,
        remember_s: float = 900,
        body_ttl_s: float = 86_400,
    ) -> None:
        self._clock = clock
        self._store = store or MemoryStore()
        self._remember_s = remember_s
        self._body_ttl_s = body_ttl_s
        self._epoch = -1

    async def elect(self, candidate: str, ttl_s: float) -> bool:
        now, leader = self._clock.now(), self._store.leader
        if leader is not None and leader[0] != candidate and leader[1] > now:
            return False
        self._store.leader = (candidate, now + ttl_s)
        return True

    async def resign(self, candidate: str) -> None:
        if self._store.leader is not None and self._store.leader[0] == candidate:
            self._store.leader = None

    async def open(self, epoch: int) -> Snapshot:
        if self._store.epoch is not None and self._store.epoch > epoch:
            raise Deposed(f"epoch {epoch} is over: a newer one has begun")
        self._epoch = self._store.epoch = epoch
        store, tasks, leases = self._store, self._store.tasks, self._store.leases
        return Snapshot(
            waiting=tuple(task for i, task in tasks.items() if i not in leases),
            running=tuple((tasks[i], lease) for i, lease in leases.items()),
            endings=tuple(store.endings.items()),
            is_intact=await self.is_intact(),
            answers={i: dict(store.answers.get(i, {})) for i, task in tasks.items() if task.stages},
        )

    async def is_intact(self) -> bool:
        return self._store.is_sealed

    async def seal(self) -> None:
        self._guarded().is_sealed = True

    async def put(self, entries: Sequence[Entry]) -> Sequence[Put]:
        self._guarded()
        return [self._put(entry) for entry in entries]

    async def claim(self, claims: Sequence[Claim]) -> Sequence[tuple[Lease, bytes] | None]:
        self._guarded()
        return [self._claim(claim) for claim in claims]

    async def adopt(self, entry: Entry, lease: Lease) -> bool:
        store, held = self._guarded(), self._store.leases.get(lease.task_id)
        has_newer = held is not None and held.fence > lease.fence
        if has_newer or self._is_in(store.ended_until, lease.task_id):
            return False
        store.tasks[lease.task_id] = entry.task
        store.leases[lease.task_id] = lease
        self._keep(lease.task_id, entry.body)
        return True

    async def body(self, task_id: TaskId) -> bytes | None:
        body, until = self._store.bodies.get(task_id, (b"", 0.0))
        return body if until > self._clock.now() else None

    async def requeue(self, task: Task, fence: Fence) -> bool:
        store = self._guarded()
        if not self._has_fence(task.id, fence):
            return False
        del store.leases[task.id]
        store.tasks[task.id] = task
        self._keep(task.id, store.bodies[task.id][0])
        return True

    async def keep(self, step: Task, fence: Fence, answer: bytes) -> Mapping[TaskId, bytes] | None:
        store, chain = self._guarded(), step.accepted_id
        if store.answers.get(chain, {}).get(step.id) != answer:
            if not self._has_fence(step.id, fence):
                return None
            self._forget(step.id)
            store.answers.setdefault(chain, {})[step.id] = answer
        return dict(store.answers[chain])

    async def settle(
        self, task_id: TaskId, fence: Fence | None, ending: bytes, steps: Sequence[TaskId] = ()
    ) -> bool:
        store = self._guarded()
        if self._is_in(store.ended_until, task_id) or not self._may_end(task_id, fence):
            return False
        for gone in (task_id, *steps):
            self._forget(gone)
        store.answers.pop(task_id, None)
        store.endings[task_id] = ending
        _remember(store.ended_until, task_id, self._clock.now(), self._remember_s)
        return True

    async def told(self, task_ids: Sequence[TaskId]) -> None:
        for task_id in task_ids:
            self._guarded().endings.pop(task_id, None)

    async def bar(self, task_id: TaskId) -> None:
        _remember(self._guarded().barred_until, task_id, self._clock.now(), self._remember_s)

    def _put(self, entry: Entry) -> Put:
        store, task = self._store, entry.task
        if task.id in store.tasks or self._is_in(store.ended_until, task.accepted_id):
            return Put.KNOWN
        if self._is_in(store.barred_until, task.accepted_id):
            return Put.CANCELLED
        store.tasks[task.id] = task
        self._keep(task.id, entry.body)
        return Put.QUEUED

    def _claim(self, claim: Claim) -> tuple[Lease, bytes] | None:
        store, task_id = self._store, claim.task_id
        body, until = store.bodies.get(task_id, (b"", 0.0))
        if task_id not in store.tasks or task_id in store.leases or until <= self._clock.now():
            return None
        lease = store.leases[task_id] = Lease(
            task_id=task_id,
            fence=Fence(self._epoch, next(store.fences)),
            worker=claim.worker,
            to_partition=claim.to_partition,
            at=claim.at,
        )
        return lease, body

    def _forget(self, task_id: TaskId) -> None:
        for held in (self._store.tasks, self._store.leases, self._store.bodies):
            held.pop(task_id, None)

    def _keep(self, task_id: TaskId, body: bytes) -> None:
        self._store.bodies[task_id] = (body, self._clock.now() + self._body_ttl_s)

    def _may_end(self, task_id: TaskId, fence: Fence | None) -> bool:
        if fence is not None:
            return self._has_fence(task_id, fence)
        return task_id in self._store.tasks or self._is_in(self._store.barred_until, task_id)

    def _has_fence(self, task_id: TaskId, fence: Fence) -> bool:
        lease = self._store.leases.get(task_id)
        return lease is not None and lease.fence == fence

    def _is_in(self, until: dict[TaskId, float], task_id: TaskId) -> bool:
        return until.get(task_id, 0.0) > self._clock.now()

    def _guarded(self) -> MemoryStore:
        """The store, for whoever may write to it."""
        if self._store.epoch is not None and self._store.epoch > self._epoch:
            raise Deposed(f"epoch {self._epoch} is over: a newer one has begun")
        if self._store.epoch != self._epoch:
            raise Unavailable("the queue was lost; open a new epoch, then bring back its tasks")
        return self._store


def _remember(until: dict[TaskId, float], task_id: TaskId, now: float, remember_s: float) -> None:
    """Entries lie in the order in which they run out, so the front is all there is to forget."""
    while until and (oldest := next(iter(until))) and until[oldest] <= now:
        del until[oldest]
    until.pop(task_id, None)
    until[task_id] = now + remember_s
