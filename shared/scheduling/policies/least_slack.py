"""Who can wait least? Deadline minus predicted remaining work, so that long tasks start in time."""

from shared.domain.task import PATIENCE_S, Task
from shared.scheduling.cost import Cost
from shared.scheduling.policy import Eager, Rank, milliseconds


class LeastSlackFirst(Eager):
    """Better than the earliest deadline when lengths differ and are known; melts under overload.

    All slacks shrink at the same speed while waiting, so their order is that of the latest start.
    """

    starvation_bound_s: float | None = PATIENCE_S

    def rank(self, task: Task, cost: Cost, pressure_s: float) -> Rank:
        return (cost.latest_start_at(task),)

    def engine_priority(self, task: Task, cost: Cost) -> int:
        return milliseconds(cost.latest_start_at(task))
