"""Is it urgent, or is it short? Both count, and who cannot make it waits (QoServe, 2026)."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.task import Task
from shared.scheduling.cost import Cost
from shared.scheduling.policy import Home, Rank, WorkerView, milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Hybrid:
    """Deadline plus so many seconds for each token of work: the rival, tuned beside us.

    Tuned on the reference mix and the seeds 11-14, as `cato` was; the paper takes 8 ms a token.
    Attainment / mean over kinds at 1.0x and 1.5x: 8 ms .856/.866, .688/.604; 16 ms .854/.868,
    .696/.628; 32 ms .851/.869, .695/.637. With the feeder of `cato`: .847/.873, .695/.718.
    """

    per_token_s: float = 0.016
    margin_s: float = 0.012
    ahead_s: float = 0.005
    late_window_s: float = 0.0
    late_limit_s: float = float("inf")
    work_conserving: bool = False
    looks_inside: bool = False
    starvation_bound_s: float | None = None
    feeder: str = "fcfs"

    def rank(self, task: Task, cost: Cost, pressure_s: float) -> Rank:
        tokens = task.prediction.prompt_tokens + task.prediction.output_tokens_p50
        return (task.deadline_at + self.per_token_s * tokens,)

    def window_s(self, task: Task, cost: Cost) -> float:
        return self.ahead_s

    def place(
        self,
        task: Task,
        free: Sequence[WorkerView],
        now: float,
        cost: Cost,
        pressure_s: float,
    ) -> WorkerView:
        return free[0]

    def goes_home(self, task: Task, home: Home, now: float, cost: Cost) -> bool:
        return False

    def doomed_at(self, task: Task, cost: Cost) -> float:
        return cost.latest_start_at(task) - self.margin_s

    def hopeless_at(self, task: Task, cost: Cost) -> float:
        if task.useful_s is None:
            return float("inf")
        return task.received_at + task.useful_s - cost.promised_s(task) - self.margin_s

    def engine_priority(self, task: Task, cost: Cost) -> int:
        return milliseconds(task.deadline_at)
