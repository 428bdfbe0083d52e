"""Who has least to do? First come, first served, each to the worker that holds fewest tasks."""

from shared.domain.task import Task
from shared.scheduling.cost import Cost
from shared.scheduling.policy import Eager, Rank


class LeastLoaded(Eager):
    """The strongest of the policies that know nothing of deadlines, while all tasks are alike."""

    def rank(self, task: Task, cost: Cost, pressure_s: float) -> Rank:
        return (task.received_at,)
