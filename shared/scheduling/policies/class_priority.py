"""Which kind of promise is tightest? All of one class before any of the next."""

from collections.abc import Mapping
from typing import Final

from shared.domain.task import LatencyClass, Task
from shared.scheduling.cost import Cost
from shared.scheduling.policy import Eager, Rank

ORDER: Final[Mapping[LatencyClass, int]] = {
    LatencyClass.TTFT: 0,
    LatencyClass.E2E: 1,
    LatencyClass.BATCH: 2,
}


class ClassPriority(Eager):
    """What static request priorities give; blind to how close each deadline is."""

    def rank(self, task: Task, cost: Cost, pressure_s: float) -> Rank:
        return (ORDER[task.latency_class], task.priority, task.received_at)

    def engine_priority(self, task: Task, cost: Cost) -> int:
        return ORDER[task.latency_class]
