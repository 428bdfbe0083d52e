"""A policy may err: whoever it fails goes by earliest deadline, and the lapse is counted."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from shared.domain.task import Task
from shared.scheduling.cost import Cost
from shared.scheduling.policy import Home, Policy, Rank, WorkerView, milliseconds

T = TypeVar("T")

# No prediction is believed beyond a day of work.
_LONGEST_S: Final = 86_400.0


class _Nonsense(ValueError):
    """An answer that no plan can be made with."""


@dataclass(slots=True, kw_only=True)
class Guard:
    """Asks the policy and the cost model, and always has an answer.

    `lapses` counts the questions that were answered with an exception or with nonsense, `latest`
    says what was wrong the last time.
    """

    policy: Policy
    lapses: Counter[str] = field(default_factory=Counter)
    latest: str = ""

    def take_lapses(self) -> Mapping[str, int]:
        """Those since the last call."""
        taken, self.lapses = self.lapses, Counter()
        return taken

    def window_s(self, task: Task, cost: Cost) -> float:
        try:
            return _number(self.policy.window_s(task, cost))
        except Exception as error:  # noqa: BLE001
            return self._lapsed("window", error, math.inf)

    def late_window_s(self) -> float:
        try:
            return _number(self.policy.late_window_s)
        except Exception as error:  # noqa: BLE001
            return self._lapsed("window", error, math.inf)

    def late_limit_s(self) -> float:
        try:
            return _number(self.policy.late_limit_s)
        except Exception as error:  # noqa: BLE001
            return self._lapsed("window", error, math.inf)

    def rank(self, task: Task, cost: Cost, pressure_s: float) -> Rank:
        try:
            rank = tuple(self.policy.rank(task, cost, pressure_s))
            if any(map(math.isnan, rank)):
                raise _Nonsense("NaN is before and after nothing")
            return rank
        except Exception as error:  # noqa: BLE001
            return self._lapsed("rank", error, (_deadline_at(task),))

    def place(
        self,
        task: Task,
        free: Sequence[WorkerView],
        now: float,
        cost: Cost,
        pressure_s: float,
    ) -> WorkerView | None:
        try:
            worker = self.policy.place(task, free, now, cost, pressure_s)
            if worker is not None and worker not in free:
                raise _Nonsense(f"{worker.name} may not be sent a task")
        except Exception as error:  # noqa: BLE001
            return self._lapsed("place", error, min(free, key=_held))
        return worker

    def doomed_at(self, task: Task, cost: Cost) -> float:
        try:
            return _number(self.policy.doomed_at(task, cost))
        except Exception as error:  # noqa: BLE001
            return self._lapsed("doomed_at", error, math.inf)

    def hopeless_at(self, task: Task, cost: Cost) -> float:
        try:
            return _number(self.policy.hopeless_at(task, cost))
        except Exception as error:  # noqa: BLE001
            return self._lapsed("hopeless_at", error, math.inf)

    def engine_priority(self, task: Task, cost: Cost) -> int:
        try:
            return int(self.policy.engine_priority(task, cost))
        except Exception as error:  # noqa: BLE001
            return self._lapsed("engine_priority", error, milliseconds(task.deadline_at))

    def work_s(self, task: Task, cost: Cost) -> float:
        """A task without a usable prediction counts as no work."""
        try:
            return _duration_s(cost.work_s(task))
        except Exception as error:  # noqa: BLE001
            return self._lapsed("cost", error, 0.0)

    def goes_home(self, task: Task, home: Home, now: float, cost: Cost) -> bool:
        try:
            goes = self.policy.goes_home(task, home, now, home.worker.cost or cost)
            if goes and not home.worker.is_free():
                raise _Nonsense(f"{home.worker.name} is full")
        except Exception as error:  # noqa: BLE001
            return self._lapsed("goes_home", error, False)
        return goes

    def first_token_s(self, task: Task, cost: Cost, cached_tokens: int = 0) -> float:
        try:
            return _duration_s(cost.first_token_s(task, cached_tokens))
        except Exception as error:  # noqa: BLE001
            return self._lapsed("cost", error, 0.0)

    def _lapsed(self, question: str, error: Exception, otherwise: T) -> T:
        """Whatever a plug-in raises, planning goes on."""
        self.lapses[question] += 1
        self.latest = f"{question}: {type(error).__name__}: {error}"
        return otherwise


def _held(worker: WorkerView) -> tuple[int, float]:
    return (worker.held, worker.served_at)


def _number(value: float) -> float:
    if math.isnan(value):
        raise _Nonsense("NaN is before and after nothing")
    return value


def _duration_s(value: float) -> float:
    if not 0.0 <= value < math.inf:
        raise _Nonsense(f"no duration in seconds: {value}")
    return min(value, _LONGEST_S)


def _deadline_at(task: Task) -> float:
    """What cannot be ordered goes last; it is never lost."""
    deadline_at = task.deadline_at
    return math.inf if math.isnan(deadline_at) else deadline_at
