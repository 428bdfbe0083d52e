"""Who came first? First come, first served, the workers in turn: what most servers do today."""

from collections.abc import Sequence
from operator import attrgetter

from shared.domain.task import Task
from shared.scheduling.cost import Cost
from shared.scheduling.policy import Eager, Rank, WorkerView

_served_at = attrgetter("served_at")


class RoundRobin(Eager):
    """Fair and simple; one burst of long tasks ruins everybody's completions."""

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
        return min(free, key=_served_at)
