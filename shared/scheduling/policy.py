"""A policy answers two questions: who is next, and on which worker."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.domain.task import Task
from shared.scheduling.cost import Cost

Rank = tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerView:
    """A worker as the scheduler sees it. `held` counts what it runs or was sent and not finished.

    `served_at` is when it was last sent a task.
    """

    name: str
    to_partition: int
    slots: int
    held: int
    served_at: float = 0.0

    def is_free(self) -> bool:
        return self.held < self.slots


class Policy(Protocol):
    """Pure and without memory.

    `work_conserving`: no slot stays free while a viable task waits. `starvation_bound_s`: the
    longest anybody waits on a fleet that keeps up, None where the policy itself promises nothing.
    """

    work_conserving: bool
    starvation_bound_s: float | None

    def rank(self, task: Task, cost: Cost) -> Rank:
        """Smaller goes first; fixed for as long as the task waits."""
        ...

    def place(self, task: Task, free: Sequence[WorkerView]) -> WorkerView:
        """One of the workers with a free slot; never called with none."""
        ...


def least_held(free: Sequence[WorkerView]) -> WorkerView:
    """The emptiest worker, the longest unserved among equals."""
    return min(free, key=lambda worker: (worker.held / worker.slots, worker.served_at))
