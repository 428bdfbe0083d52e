"""Who can wait least? Deadline minus predicted remaining work, so that long tasks start in time."""

from collections.abc import Sequence

from shared.domain.task import PATIENCE_S, Task
from shared.scheduling.cost import Cost
from shared.scheduling.policy import Rank, WorkerView, least_held


class LeastSlackFirst:
    """Better than the earliest deadline when lengths differ and are known; melts under overload.

    All slacks shrink at the same speed while waiting, so their order is that of the latest start.
    """

    work_conserving = True
    starvation_bound_s: float | None = PATIENCE_S

    def rank(self, task: Task, cost: Cost) -> Rank:
        return (cost.latest_start_at(task),)

    def place(self, task: Task, free: Sequence[WorkerView]) -> WorkerView:
        return least_held(free)
