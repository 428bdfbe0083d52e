"""A ride is one request on its way through the simulated house."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from loadgen.report.observation import Ending, Observation
from loadgen.workloads.arrival import Arrival
from shared.domain.task import Task
from shared.scheduling.batching import Sequence

Then = Callable[["Ride", Ending, float], object]


@dataclass(slots=True, eq=False)
class Ride:
    """`task` is what its client asked last, after so many `refusals`. `sequence` is None until it
    enters an engine; `late_s` is by how much the latest token missed its pace so far; `used_s` is
    its share of the time of the steps it was in; `joined` is the step since when it decodes, and
    its worker's sums then. `then` is told how it ended, and when."""

    arrival: Arrival
    task: Task
    priority: int = 0
    refusals: int = 0
    sent_at: float = math.inf
    fed_at: float = math.inf
    first_at: float = math.inf
    late_s: float = -math.inf
    used_s: float = 0.0
    tokens_before: int = 0
    joined: tuple[int, float, float] = (0, 0.0, 0.0)
    sequence: Sequence | None = None
    worker: int | None = None
    is_over: bool = False
    is_kept: bool = False
    then: Then | None = None

    @property
    def pace_s(self) -> float | None:
        promise = self.task.promise
        return None if promise.ttft_s is None else promise.tpot_s

    def observed(self, ending: Ending, now: float, alone_s: float) -> Observation:
        arrival, is_answered = self.arrival, ending is Ending.ANSWERED
        wanted_at = arrival.cancel_at_s
        is_seen = self.first_at <= now if wanted_at is None else self.first_at <= wanted_at
        return Observation(
            kind=arrival.kind,
            tenant=arrival.tenant,
            at_s=arrival.at_s,
            promise=self.task.promise,
            ending=ending,
            ttft_s=self.first_at - arrival.at_s if is_seen else None,
            e2e_s=now - arrival.at_s if is_answered else None,
            pacing_late_s=self.late_s if math.isfinite(self.late_s) else None,
            output_tokens=arrival.output_tokens if is_answered else 0,
            wanted_s=None if wanted_at is None else wanted_at - arrival.at_s,
            alone_s=alone_s,
            queued_s=self.fed_at - arrival.at_s if math.isfinite(self.fed_at) else None,
            worker=None if self.worker is None else f"worker-{self.worker + 1}",
            is_synthetic=True,
        )
