"""What a simulated worker believes of its speed: a profile, right or wrong, or what it learns."""

from dataclasses import dataclass
from typing import Protocol

from shared.scheduling.batching import Step
from shared.scheduling.fitting import Timing
from shared.scheduling.step_time import StepTime


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
