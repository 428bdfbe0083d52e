"""Which kind of promise is tightest? All of one class before any of the next."""

from collections.abc import Mapping, Sequence
from typing import Final

from shared.domain.task import LatencyClass, Task
from shared.scheduling.cost import Cost
from shared.scheduling.policy import Rank, WorkerView, least_held

ORDER: Final[Mapping[LatencyClass, int]] = {
    LatencyClass.TTFT: 0,
    LatencyClass.E2E: 1,
    LatencyClass.BATCH: 2,
}


class ClassPriority:
    """What static request priorities give; blind to how close each deadline is."""

    work_conserving = True
    starvation_bound_s: float | None = None

    def rank(self, task: Task, cost: Cost) -> Rank:
        return (ORDER[task.latency_class], task.priority, task.received_at)

    def place(self, task: Task, free: Sequence[WorkerView]) -> WorkerView:
        return least_held(free)
