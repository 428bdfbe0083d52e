"""Would one more break a promise? Admit only where neither it nor anybody running would miss."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter

from shared.domain.task import Task
from shared.scheduling.cost import Cost
from shared.scheduling.policy import Begun, Eager, Rank, WorkerView
from shared.scheduling.scalability import Scalability
from shared.scheduling.step_time import EngineProfile

_held = attrgetter("held", "served_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Saber(Eager):
    """Keeps what it takes on; blind to what waits behind it (SABER, 2025).

    How much slower a request is among others is the universal scalability law, fitted to the
    worker's step time, as learned online, for requests of `prompt_tokens` and `output_tokens`: the
    means of the reference mix. On the reference engine: 0.96/s alone, contention 0.073, coherence
    5e-6. Two queues: first those who can still be on time, by their latest start; whoever can
    only be late comes second, wherever that harms nobody.
    """

    prompt_tokens: int = 1600
    output_tokens: int = 160
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
        worker: WorkerView = min(free, key=_held)
        cost = worker.cost or cost
        curve = _curve(cost.profile, self.prompt_tokens, self.output_tokens)
        then = curve.slowdown(worker.held + 1)
        alone_s = cost.alone_s(task)
        if now + alone_s < task.deadline_at < now + then * alone_s:
            return None
        so_far = curve.slowdown(worker.held)
        harmed = (_breaks(each, so_far, then, now, cost) for each in worker.tasks or ())
        return None if any(harmed) else worker

    def doomed_at(self, task: Task, cost: Cost) -> float:
        return task.deadline_at - cost.alone_s(task)


@lru_cache(maxsize=1024)
def _curve(profile: EngineProfile, prompt_tokens: int, output_tokens: int) -> Scalability:
    return Scalability.of_engine(profile, prompt_tokens=prompt_tokens, output_tokens=output_tokens)


def _breaks(begun: Begun, so_far: float, then: float, now: float, cost: Cost) -> bool:
    """Would it be on time as things are, and late once it is slowed down?"""
    task = begun.task
    left_s = cost.alone_s(task) - (now - begun.at) / so_far
    return left_s > 0 and now + so_far * left_s <= task.deadline_at < now + then * left_s
