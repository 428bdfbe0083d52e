"""A policy answers: who is next, on which worker, how early to send it, and when to let it go."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from shared.domain.task import Task
from shared.scheduling.cost import Cost

Rank = tuple[float, ...]


class Begun(NamedTuple):
    """A task, and when it was sent to its worker."""

    task: Task
    at: float


# Not frozen, which would cost three times as much: one is made of each report and each dispatch.
@dataclass(slots=True, kw_only=True, eq=False)
class WorkerView:
    """A worker as the scheduler sees it. `held` counts what it runs or was sent and not finished.

    `served_at` is when it was last sent a task, `drained_at` when it will have prefilled all that
    it was sent; `tasks` is what it holds, for policies that look inside. `cost` is what tasks cost
    on this worker; None where only the fleet's is known. `side` is 0 or 1, the half of its fleet
    that it belongs to; None while it is the only worker.
    """

    name: str
    to_partition: int
    slots: int
    held: int
    served_at: float = 0.0
    drained_at: float = 0.0
    tasks: Collection[Begun] | None = None
    cost: Cost | None = None
    side: int | None = None

    def is_free(self) -> bool:
        return self.held < self.slots

    def residual_s(self, now: float) -> float:
        """How long a prompt sent now would wait for those before it."""
        return max(0.0, self.drained_at - now)

    def served(
        self, task: Task, *, now: float, prefill_s: float, hop_s: float = 0.0
    ) -> "WorkerView":
        """After it was sent one more task."""
        return WorkerView(
            name=self.name,
            to_partition=self.to_partition,
            slots=self.slots,
            held=self.held + 1,
            # Strictly later than before, so that workers keep taking turns within one step.
            served_at=max(now, self.served_at + 1e-6),
            drained_at=max(now + hop_s, self.drained_at) + prefill_s,
            tasks=None if self.tasks is None else (*self.tasks, Begun(task, now)),
            cost=self.cost,
            side=self.side,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The worker whose engine has so many of a prompt's first tokens in its cache."""

    worker: WorkerView
    cached_tokens: int


def side(number: int, workers: int) -> int | None:
    """Every other worker is on the same side; one alone is on none."""
    return number % 2 if workers > 1 else None


class Policy(Protocol):
    """Pure and without memory."""

    @property
    def work_conserving(self) -> bool:
        """Does no slot stay free while a viable task waits?"""
        ...

    @property
    def starvation_bound_s(self) -> float | None:
        """The longest anybody waits on a fleet that keeps up; None: it promises nothing itself."""
        ...

    @property
    def late_window_s(self) -> float:
        """What `window_s` is for all that can only be late."""
        ...

    @property
    def late_limit_s(self) -> float:
        """While they are more work than this for each worker, only idle ones are sent any."""
        ...

    @property
    def looks_inside(self) -> bool:
        """Does it want to know which tasks each worker holds?"""
        ...

    @property
    def feeder(self) -> str:
        """The one to run in its workers."""
        ...

    def rank(self, task: Task, cost: Cost, pressure_s: float) -> Rank:
        """Smaller goes first; fixed for as long as the task waits.

        `pressure_s` is how long the fleet would work on what was waiting when it came.
        """
        ...

    def window_s(self, task: Task, cost: Cost) -> float:
        """It may be sent to a worker that has no more than this left to prefill.

        What is inside an engine can no longer be reordered.
        """
        ...

    def place(
        self,
        task: Task,
        free: Sequence[WorkerView],
        now: float,
        cost: Cost,
        pressure_s: float,
    ) -> WorkerView | None:
        """One of the workers that may be sent a task, or None to let it wait for some change.

        Never called with none; the soonest drained comes first, the emptiest among equals.
        `pressure_s` is how long the fleet would work on what waits now.
        """
        ...

    def goes_home(self, task: Task, home: Home, now: float, cost: Cost) -> bool:
        """Would it rather be sent to its home, even wait for it, than be placed?"""
        ...

    def doomed_at(self, task: Task, cost: Cost) -> float:
        """From then on a start can only be late: it goes behind all others."""
        ...

    def hopeless_at(self, task: Task, cost: Cost) -> float:
        """From then on a start would only harm others: it is given up."""
        ...

    def engine_priority(self, task: Task, cost: Cost) -> int:
        """Its order among prompts inside an engine; smaller goes first."""
        ...


class Eager:
    """Whatever a slot is free for is sent, nobody is let go, the engine keeps the order sent."""

    work_conserving = True
    starvation_bound_s: float | None = None
    late_window_s = math.inf
    late_limit_s = math.inf
    looks_inside = False
    feeder = "fcfs"

    def window_s(self, task: Task, cost: Cost) -> float:
        return math.inf

    def place(
        self,
        task: Task,
        free: Sequence[WorkerView],
        now: float,
        cost: Cost,
        pressure_s: float,
    ) -> WorkerView | None:
        return least_held(free)

    def goes_home(self, task: Task, home: Home, now: float, cost: Cost) -> bool:
        return False

    def doomed_at(self, task: Task, cost: Cost) -> float:
        return math.inf

    def hopeless_at(self, task: Task, cost: Cost) -> float:
        return math.inf

    def engine_priority(self, task: Task, cost: Cost) -> int:
        return task.priority


def least_held(free: Sequence[WorkerView]) -> WorkerView:
    """The emptiest worker, the longest unserved among equals."""
    return min(free, key=lambda worker: (worker.held / worker.slots, worker.served_at))


def milliseconds(instant: float) -> int:
    """An instant as an engine's integer priority; nonsense goes last."""
    return int(instant * 1000) if abs(instant) < _ENDLESS_S else int(_ENDLESS_S * 1000)


_ENDLESS_S = 1e12
