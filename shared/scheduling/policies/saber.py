"""Would one more break a promise? Admit only where neither it nor anybody running would miss."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.task import Task
from shared.scheduling.cost import Cost
from shared.scheduling.policy import Eager, Rank, WorkerView, least_held


@dataclass(frozen=True, slots=True, kw_only=True)
class Saber(Eager):
    """Keeps what it takes on; blind to what waits behind it (SABER, 2025).

    One request among n is slower than alone by Gunther's law of scalability: 1 + contention · (n -
    1) + coherence · n · (n - 1), fitted to the reference engine under its reference mix. Whoever
    can only be late comes second, wherever that harms nobody.
    """

    contention: float = 0.2
    coherence: float = 0.0
    work_conserving: bool = False
    looks_inside: bool = True

    def rank(self, task: Task, cost: Cost, pressure_s: float) -> Rank:
        return (cost.latest_start_at(task),)

    def place(
        self,
        task: Task,
        free: Sequence[WorkerView],
        now: float,
        cost: Cost,
        pressure_s: float,
    ) -> WorkerView | None:
        worker = least_held(free)
        slower = self._slower(worker.held + 1)
        is_late = self.doomed_at(task, cost) <= now
        fits = is_late or now + slower * cost.alone_s(task) <= task.deadline_at
        harms = any(
            each.received_at + slower * cost.alone_s(each) > each.deadline_at
            for each in worker.tasks
            if each.deadline_at > now
        )
        return worker if fits and not harms else None

    def doomed_at(self, task: Task, cost: Cost) -> float:
        return task.deadline_at - cost.alone_s(task)

    def _slower(self, held: int) -> float:
        return 1 + self.contention * (held - 1) + self.coherence * held * (held - 1)
