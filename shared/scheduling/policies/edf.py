"""Whose promise breaks first? Earliest deadline first (Liu and Layland, 1973)."""

from shared.domain.task import PATIENCE_S, Task
from shared.scheduling.cost import Cost
from shared.scheduling.policy import Eager, Rank, milliseconds


class EarliestDeadlineFirst(Eager):
    """Optimal on one machine until it is overloaded, then everybody is a little late."""

    starvation_bound_s: float | None = PATIENCE_S

    def rank(self, task: Task, cost: Cost, pressure_s: float) -> Rank:
        return (task.deadline_at,)

    def engine_priority(self, task: Task, cost: Cost) -> int:
        return milliseconds(task.deadline_at)
