"""Whose promise can still be kept, and at what price? Dispatch is the pacemaker."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.task import Task
from shared.scheduling.cost import Cost
from shared.scheduling.policy import Rank, WorkerView, milliseconds, soonest_drained


@dataclass(frozen=True, slots=True, kw_only=True)
class Cato:
    """Deadline first when there is time, short first when there is not, the doomed out of the way.

    `price_calm`, `price_rush`: how many seconds of slack a second of prefill costs a task in the
    order, with little waiting (`calm_s` of work for the fleet) and with much (`rush_s`).
    `paced_share`: whole answers are begun while this share of their promise is left to decode in.
    `margin_s`: what a dispatch takes, and what else keeps a prompt from its engine.
    """

    price_calm: float = 10.0
    price_rush: float = 30.0
    calm_s: float = 0.2
    rush_s: float = 1.5
    paced_share: float = 0.7
    margin_s: float = 0.012
    window_s: float = 0.005
    late_window_s: float = 0.0
    work_conserving: bool = False
    looks_inside: bool = False
    starvation_bound_s: float | None = None
    feeder: str = "holding"

    def rank(self, task: Task, cost: Cost, pressure_s: float) -> Rank:
        price_s = self._price(pressure_s) * cost.prefill_s(task)
        return (self.doomed_at(task, cost) + price_s,)

    def place(self, task: Task, free: Sequence[WorkerView], now: float, cost: Cost) -> WorkerView:
        return soonest_drained(free, now)

    def doomed_at(self, task: Task, cost: Cost) -> float:
        return task.deadline_at - cost.paced_s(task, self.paced_share) - self.margin_s

    def hopeless_at(self, task: Task, cost: Cost) -> float:
        if task.useful_s is None:
            return math.inf
        return task.received_at + task.useful_s - cost.promised_s(task) - self.margin_s

    def engine_priority(self, task: Task, cost: Cost) -> int:
        return milliseconds(task.deadline_at)

    def _price(self, pressure_s: float) -> float:
        rush = (pressure_s - self.calm_s) / (self.rush_s - self.calm_s)
        return self.price_calm + (self.price_rush - self.price_calm) * min(1.0, max(0.0, rush))
