"""Whose promise can still be kept, and at what price? Dispatch is the pacemaker."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.task import LatencyClass, Task
from shared.scheduling.cost import Cost
from shared.scheduling.policy import Home, Rank, WorkerView, milliseconds
from shared.scheduling.step_time import SHARING


@dataclass(frozen=True, slots=True, kw_only=True)
class Cato:
    """Deadline first when there is time, short first when there is not, the doomed out of the way.

    `price_calm`, `price_rush`: how many seconds of slack a second of its work costs a task in the
    order, with little waiting (`calm_s` of work for the fleet) and with much (`rush_s`).
    `token_s` is what each token of a whole answer counts for in that work: it is decoded in time
    only where prompts are held back for it.
    `paced_share`: whole answers are begun while this share of their promise is left to decode in.
    `chain_share`: the same for a step of a chain, of its part of the promise; it waits less, since
    what follows it waits too. Later steps are begun at no price: what they ask about is paid for.
    `apart_s`: with more than that waiting, whole answers go to one side of the fleet, answers read
    along to the other, as far as they need short steps: not all have to hold prompts back then.
    More promises are kept that way, and fewer of whole answers. `favour` decides between the two,
    from as many as possible (0: twice `token_s`) to those of every kind alike (1: none of either).
    `late_limit_s`: a rush ends in a second; with so much late work waiting for each worker the
    fleet cannot keep up, and a late answer would cost one that is on time.
    `home_price`: how many seconds of slack it gives, waiting for the engine that holds the
    beginning of its prompt, for each second of prefill which that saves.
    `ahead_s`: what may be left to prefill where a prompt is sent; more where both are short enough
    to be prefilled in one step (`sharing`, in multiples of its fixed cost).
    `margin_s`: what a dispatch takes, and what else keeps a prompt from its engine.
    """

    price_calm: float = 10.0
    price_rush: float = 16.0
    calm_s: float = 0.2
    rush_s: float = 1.5
    token_s: float = 0.0001
    favour: float = 0.75
    paced_share: float = 0.8
    chain_share: float = 0.9
    apart_s: float = 0.2
    home_price: float = 3.0
    margin_s: float = 0.015
    ahead_s: float = 0.005
    sharing: float = SHARING
    late_window_s: float = 0.0
    late_limit_s: float = 0.5
    work_conserving: bool = False
    looks_inside: bool = False
    starvation_bound_s: float | None = None
    feeder: str = "holding"

    def rank(self, task: Task, cost: Cost, pressure_s: float) -> Rank:
        if task.step is not None and task.step.stage:
            return (self.doomed_at(task, cost),)
        work_s = cost.prefill_s(task)
        if task.latency_class is LatencyClass.E2E:
            token_s = 2 * (1 - self.favour) * self.token_s
            work_s += token_s * task.prediction.output_tokens_p50
        return (self.doomed_at(task, cost) + self._price(pressure_s) * work_s,)

    def window_s(self, task: Task, cost: Cost) -> float:
        """A short one comes early enough to share a step."""
        return max(self.ahead_s, cost.profile.shared_s(self.sharing) - cost.prefill_s(task))

    def place(
        self,
        task: Task,
        free: Sequence[WorkerView],
        now: float,
        cost: Cost,
        pressure_s: float,
    ) -> WorkerView | None:
        if pressure_s * (1 - self.favour) <= self.apart_s:
            return free[0]
        if not cost.needs_pace(task, self.paced_share):
            return free[0]
        return next((each for each in free if _is_at_home(task, each)), None)

    def goes_home(self, task: Task, home: Home, now: float, cost: Cost) -> bool:
        saved_s = cost.first_token_s(task) - cost.first_token_s(task, home.cached_tokens)
        begins_at = max(now, home.worker.drained_at - self.ahead_s)
        is_worth_it = begins_at - now <= self.home_price * saved_s
        is_in_time = begins_at <= self.doomed_at(task, cost) + saved_s
        return home.worker.is_free() and is_worth_it and is_in_time

    def doomed_at(self, task: Task, cost: Cost) -> float:
        share = self.paced_share if task.step is None else self.chain_share
        return task.deadline_at - cost.paced_s(task, share) - self.margin_s

    def hopeless_at(self, task: Task, cost: Cost) -> float:
        if task.useful_s is None:
            return math.inf
        return task.received_at + task.useful_s - cost.promised_s(task) - self.margin_s

    def engine_priority(self, task: Task, cost: Cost) -> int:
        return milliseconds(task.deadline_at)

    def _price(self, pressure_s: float) -> float:
        rush = (pressure_s - self.calm_s) / (self.rush_s - self.calm_s)
        return self.price_calm + (self.price_rush - self.price_calm) * min(1.0, max(0.0, rush))


def _is_at_home(task: Task, worker: WorkerView) -> bool:
    """Whole answers on one side, answers read along on the other."""
    if task.latency_class is LatencyClass.E2E:
        return worker.side != 1
    return worker.side != 0
