"""Whose promise breaks first? Earliest deadline first (Liu and Layland, 1973)."""

from collections.abc import Sequence

from shared.domain.task import PATIENCE_S, Task
from shared.scheduling.cost import Cost
from shared.scheduling.policy import Rank, WorkerView, least_held


class EarliestDeadlineFirst:
    """Optimal on one machine until it is overloaded, then everybody is a little late."""

    work_conserving = True
    starvation_bound_s: float | None = PATIENCE_S

    def rank(self, task: Task, cost: Cost) -> Rank:
        return (task.deadline_at,)

    def place(self, task: Task, free: Sequence[WorkerView]) -> WorkerView:
        return least_held(free)
