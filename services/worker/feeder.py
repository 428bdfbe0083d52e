"""The feeder decides when the next prompt enters the engine, where nothing can be reordered."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from services.worker.engine import JobId
from shared.domain.task import Task
from shared.messages.pool import EngineLoad


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An attempt in the local backlog, in the order of arrival."""

    job_id: JobId
    task: Task
    received_at: float


class Feeder(Protocol):
    def feed(
        self, waiting: Sequence[Waiting], load: EngineLoad, *, now: float, free: int
    ) -> Sequence[JobId]:
        """Who enters now, at most `free`; asked again whenever an attempt comes or ends."""
        ...


class FirstComeFirstServed:
    """Good where the scheduler sends no more than the engine can take."""

    def feed(
        self, waiting: Sequence[Waiting], load: EngineLoad, *, now: float, free: int
    ) -> Sequence[JobId]:
        return [first.job_id for first in waiting[:free]]


FEEDERS: Final[Mapping[str, Callable[[], Feeder]]] = {"fcfs": FirstComeFirstServed}
