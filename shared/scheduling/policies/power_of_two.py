"""Which of two is less busy? First come, first served, the better of two workers drawn by lot."""

from collections.abc import Sequence
from zlib import crc32

from shared.domain.task import Task
from shared.scheduling.cost import Cost
from shared.scheduling.policy import Eager, Rank, WorkerView, least_held


class PowerOfTwo(Eager):
    """Nearly as even as asking everybody (Mitzenmacher, 2001); what Ray Serve does.

    The lot is a hash of the task's id, so that the choice can be repeated.
    """

    def rank(self, task: Task, cost: Cost, pressure_s: float) -> Rank:
        return (task.received_at,)

    def place(
        self,
        task: Task,
        free: Sequence[WorkerView],
        now: float,
        cost: Cost,
        pressure_s: float,
    ) -> WorkerView:
        lot = crc32(task.id.encode())
        first = lot % len(free)
        second = (first + 1 + (lot >> 8) % max(1, len(free) - 1)) % len(free)
        return least_held((free[first], free[second]))
