"""Deadline queues to be held to their promises, and what one gives them to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.adapters.clock import LoopClock
from shared.adapters.memory_queue import MemoryDeadlineQueue, MemoryStore
from shared.domain.fence import Fence
from shared.domain.task import Task, TaskId
from shared.scheduling.queue import Claim, DeadlineQueue, Entry, Lease

ONE = TaskId("task-1")
A_LEASE = Lease(
    task_id=ONE, fence=Fence(0, 7), worker="a worker/with spaces", to_partition=2, at=1.5
)


class Store(Protocol):
    """One Redis, or what stands for it."""

    def queue(self, *, remember_s: float = 900, body_ttl_s: float = 900) -> DeadlineQueue: ...

    async def lose_everything(self) -> None: ...


@dataclass(frozen=True)
class InMemory:
    held: MemoryStore

    def queue(self, *, remember_s: float = 900, body_ttl_s: float = 900) -> DeadlineQueue:
        return MemoryDeadlineQueue(
            LoopClock(), self.held, remember_s=remember_s, body_ttl_s=body_ttl_s
        )

    async def lose_everything(self) -> None:
        self.held.lose_everything()


def entries(*tasks: Task, body: bytes = b"{}") -> Sequence[Entry]:
    return [Entry(task=task, body=body) for task in tasks]


def claim_of(task_id: str = "task-1", worker: str = "worker-1/a") -> Claim:
    return Claim(task_id=TaskId(task_id), worker=worker, to_partition=3, at=12.25)


async def claimed(queue: DeadlineQueue, claim: Claim) -> Fence:
    (taken,) = await queue.claim([claim])
    assert taken is not None
    return taken[0].fence
