"""How long would a newcomer wait? The honest Retry-After and the scaling signal come from here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from shared.domain.task import LatencyClass, Task
from shared.scheduling.backlog import Backlog
from shared.scheduling.policy import WorkerView


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """`wait_s` for a newcomer of this class, `work_s` queued in it, in GPU-seconds."""

    queued: int
    wait_s: float
    work_s: float


@dataclass(slots=True)
class Pace:
    """Predicted GPU-seconds settled per worker-second while there is a backlog, learned online.

    1.0 when the predictions are right; an exponential average with a half-life of about 5 s.
    """

    value: float = 1.0

    def learn(self, *, settled_s: float, workers: int, elapsed_s: float) -> None:
        if workers <= 0 or elapsed_s <= 0:
            return
        weight = min(1.0, elapsed_s / 7.0)
        seen = min(10.0, max(0.05, settled_s / (workers * elapsed_s)))
        self.value += weight * (seen - self.value)


def forecast(
    backlog: Backlog,
    fleet: Sequence[WorkerView],
    *,
    typical: Iterable[Task],
    pace: Pace,
    now: float,
) -> Mapping[LatencyClass, Wait]:
    """One wait per latency class that has a typical task: work ranked before it, over the fleet."""
    return {task.latency_class: _wait(backlog, fleet, task, pace, now) for task in typical}


def _wait(
    backlog: Backlog, fleet: Sequence[WorkerView], typical: Task, pace: Pace, now: float
) -> Wait:
    klass = typical.latency_class
    newcomer = replace(typical, received_at=now)
    ahead = backlog.ahead_of(newcomer)
    total_s = sum(backlog.work_s.values())
    ahead_s = total_s * ahead / len(backlog) if len(backlog) else 0.0
    speed = max(1, len(fleet)) * pace.value
    return Wait(queued=backlog.queued[klass], wait_s=ahead_s / speed, work_s=backlog.work_s[klass])
