"""The deadline queue keeps what was accepted, who runs it, and what has still to be told to Kafka.

One leader at a time writes; each write names its epoch and fails with Deposed when a newer leader
speaks. Every method may raise Unavailable; each is safe to repeat.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from shared.domain.fence import Fence
from shared.domain.task import Task, TaskId


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A task with its encoded body."""

    task: Task
    body: bytes


class Put(StrEnum):
    QUEUED = "queued"
    KNOWN = "known"  # queued, running or ended already
    CANCELLED = "cancelled"  # its cancellation arrived first


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Which task goes to which worker, on which dispatch partition."""

    task_id: TaskId
    worker: str
    to_partition: int
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A claimed task: also the outbox record of its dispatch, until the worker reports the task."""

    task_id: TaskId
    fence: Fence
    worker: str
    to_partition: int
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that the queue holds: waiting tasks, running tasks with their leases, endings to tell.

    A chain waits for as long as it lives; `answers` are what its steps answered so far, by step.
    `is_intact` is False when the store may have lost something (it was restarted, or is empty).
    """

    waiting: tuple[Task, ...]
    running: tuple[tuple[Task, Lease], ...]
    endings: tuple[tuple[TaskId, bytes], ...]
    is_intact: bool
    answers: Mapping[TaskId, Mapping[TaskId, bytes]] = field(default_factory=dict)


class DeadlineQueue(Protocol):
    async def elect(self, candidate: str, ttl_s: float) -> bool:
        """Take or renew the leadership; True while `candidate` holds it."""
        ...

    async def resign(self, candidate: str) -> None: ...

    async def open(self, epoch: int) -> Snapshot:
        """Begin to write as leader of this epoch. Raises Deposed when a newer one has begun."""
        ...

    async def is_intact(self) -> bool:
        """Is it still the same store, with the same memory, as when it was opened?"""
        ...

    async def seal(self) -> None:
        """Whatever was lost is back: call it intact from here on."""
        ...

    async def put(self, entries: Sequence[Entry]) -> Sequence[Put]:
        """Into the heap of their latency class, score = deadline; one result per entry.

        A step of a chain that has ended is KNOWN.
        """
        ...

    async def claim(self, claims: Sequence[Claim]) -> Sequence[tuple[Lease, bytes] | None]:
        """Take out of the heap, write the lease with a new fence; None where it did not wait there.

        The bytes are the encoded body. One result per claim.
        """
        ...

    async def adopt(self, entry: Entry, lease: Lease) -> bool:
        """After a loss: a worker runs it already, under a fence of an earlier epoch."""
        ...

    async def body(self, task_id: TaskId) -> bytes | None: ...

    async def requeue(self, task: Task, fence: Fence) -> bool:
        """Back into its heap with these facts, if the lease still has this fence."""
        ...

    async def keep(self, step: Task, fence: Fence, answer: bytes) -> Mapping[TaskId, bytes] | None:
        """A step of a chain is over, if the lease still has this fence; its answer is kept.

        All answers of its chain so far, by step; None where somebody else speaks for the step.
        """
        ...

    async def settle(
        self, task_id: TaskId, fence: Fence | None, ending: bytes, steps: Sequence[TaskId] = ()
    ) -> bool:
        """End a task once, and with it those of its `steps` that wait or run: True for the first.

        With a fence only while the lease has it; with None whether it waits or runs.
        The ending stays in the outbox until it was told; the id is remembered for `remember_s`.
        """
        ...

    async def told(self, task_ids: Sequence[TaskId]) -> None:
        """Kafka has acknowledged these endings."""
        ...

    async def bar(self, task_id: TaskId) -> None:
        """A cancellation came before its task: let a later put return CANCELLED."""
        ...
