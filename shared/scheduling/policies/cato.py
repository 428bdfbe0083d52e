"""Whose promise can still be kept, and at what price? Dispatch is the pacemaker."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.task import Task
from shared.scheduling.cost import Cost
from shared.scheduling.policy import Rank, WorkerView, soonest_drained


@dataclass(frozen=True, slots=True, kw_only=True)
class Cato:
    """Deadline first when there is time, short first when there is not, the doomed out of the way.

    `price`: how many seconds of slack a second of prefill costs a task in the order.
    `paced_share`: whole answers are begun while this share of their promise is left to decode in.
    `hop_s`: what a dispatch takes, and what else keeps a prompt from its engine.
    """

    price: float = 20.0
    paced_share: float = 0.6
    window_s: float = 0.005
    late_window_s: float = 0.0
    hop_s: float = 0.012
    work_conserving: bool = False
    starvation_bound_s: float | None = None
    feeder: str = "holding"

    def rank(self, task: Task, cost: Cost) -> Rank:
        return (self._latest_start_at(task, cost) + self.price * cost.prefill_s(task),)

    def place(self, task: Task, free: Sequence[WorkerView], now: float) -> WorkerView:
        return soonest_drained(free, now)

    def doomed_at(self, task: Task, cost: Cost) -> float:
        return self._latest_start_at(task, cost)

    def hopeless_at(self, task: Task, cost: Cost) -> float:
        if task.useful_s is None:
            return float("inf")
        return task.received_at + task.useful_s - cost.promised_s(task) - self.hop_s

    def engine_priority(self, task: Task, cost: Cost) -> int:
        return 0

    def _latest_start_at(self, task: Task, cost: Cost) -> float:
        return task.deadline_at - cost.paced_s(task, self.paced_share) - self.hop_s
