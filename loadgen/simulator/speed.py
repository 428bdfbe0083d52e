"""What a simulated worker believes of its speed: a profile, right or wrong, or what it learns."""

from dataclasses import dataclass
from typing import Protocol

from shared.scheduling.batching import Step
from shared.scheduling.fitting import Timing
from shared.scheduling.step_time import StepTime
from shared.scheduling.stretch import Stretch


class Speed(Protocol):
    """A StepFit is one that learns."""

    def step_time(self) -> StepTime: ...

    def learn(self, timing: Timing) -> None: ...


@dataclass(frozen=True, slots=True)
class Believed:
    """Never learns."""

    believed: StepTime

    def step_time(self) -> StepTime:
        return self.believed

    def learn(self, timing: Timing) -> None:
        return None


def timing_of(step: Step) -> Timing:
    return Timing(
        took_s=step.duration_s,
        prefill_tokens=step.prefill_tokens,
        prefill_context=step.prefill_context,
        sequences=step.decoded,
        kv_tokens=step.kv_tokens,
    )


def timing_of_last(stretch: Stretch) -> Timing:
    return Timing(
        took_s=stretch.step_s(stretch.steps),
        prefill_tokens=0,
        prefill_context=0,
        sequences=stretch.sequences,
        kv_tokens=stretch.kv_tokens + stretch.steps * stretch.sequences,
    )
