"""What a task will cost on an engine, before it has run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from shared.domain.task import LatencyClass, Task
from shared.scheduling.step_time import EngineProfile, StepTime

# A worker that claims to be further than this from its profile is not believed.
_BELIEVED: Final = 50.0
_LEAST_S: Final = 1e-3


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Predictions from one engine profile.

    `company` is how many sequences usually share a step: the step's fixed cost is split over them.
    """

    profile: EngineProfile
    company: float

    def promised_s(self, task: Task) -> float:
        """From a start now to the token the promise is about: the first for ttft, else the last."""
        first_s = self.first_token_s(task)
        if task.latency_class is LatencyClass.TTFT:
            return first_s
        return first_s + task.prediction.output_tokens_p50 * self._paced_step_s

    def first_token_s(self, task: Task, cached_tokens: int = 0) -> float:
        """From a start on an engine with nothing else to prefill, and the first tokens cached."""
        profile = self.profile
        prompt_tokens = task.prediction.prompt_tokens
        steps = max(1, -(-(prompt_tokens - cached_tokens) // profile.chunk_tokens))
        prefill_s = profile.prefill_s(prompt_tokens)
        if cached_tokens:
            prefill_s -= profile.prefill_s(cached_tokens)
        return steps * self._paced_step_s + prefill_s

    def alone_s(self, task: Task) -> float:
        """As `promised_s`, on an engine with nothing else to do."""
        prediction = task.prediction
        if task.latency_class is LatencyClass.TTFT:
            return self.profile.first_token_s(prediction.prompt_tokens)
        return self.profile.alone_s(prediction.prompt_tokens, prediction.output_tokens_p50)

    def prefill_s(self, task: Task) -> float:
        """GPU-seconds of its prompt alone."""
        return self.profile.prefill_s(task.prediction.prompt_tokens)

    def work_s(self, task: Task) -> float:
        """GPU-seconds taken from everybody else: prefill, and a share of each decode step."""
        step = self.profile.step_time
        held = task.prediction.prompt_tokens + task.prediction.output_tokens_p50 / 2
        each_s = step.base_s / self.company + step.decode_s + step.kv_s * held
        return self.prefill_s(task) + task.prediction.output_tokens_p50 * each_s

    def latest_start_at(self, task: Task) -> float:
        """The last instant at which a start can still keep the promise."""
        return task.deadline_at - self.promised_s(task)

    def needs_pace(self, task: Task, share: float) -> bool:
        """Would it be too slow with a step full of prompts for each token, a whole answer in this
        share of its promise?"""
        promise, decoded_s = task.promise, task.prediction.output_tokens_p50 * self._full_step_s
        if promise.e2e_s is not None:
            return decoded_s > share * promise.e2e_s
        if promise.ttft_s is None or promise.tpot_s is None:
            return False
        return decoded_s > promise.ttft_s + promise.tpot_s * task.prediction.output_tokens_p50

    def paced_s(self, task: Task, share: float) -> float:
        """As `promised_s`, with a whole answer decoded beside the prompts of others, which takes up
        to this share of its promise: then it is decoded no slower.
        """
        if task.latency_class is LatencyClass.TTFT or task.promise.e2e_s is None:
            return self.promised_s(task)
        tokens = task.prediction.output_tokens_p50
        beside_s = min(share * task.promise.e2e_s, tokens * self._full_step_s)
        return self.first_token_s(task) + max(beside_s, tokens * self._paced_step_s)

    def measured(self, step_time: StepTime) -> "Cost":
        """With an engine's own step time, unless that is nonsense."""
        if not self._believes(step_time):
            return self
        return replace(self, profile=replace(self.profile, step_time=step_time))

    def _believes(self, step_time: StepTime) -> bool:
        coefficients = step_time.coefficients()
        if not all(math.isfinite(each) and each >= 0 for each in coefficients):
            return False
        prior_s = max(_LEAST_S, _usual_step_s(self.profile.step_time))
        return prior_s / _BELIEVED <= max(_LEAST_S, _usual_step_s(step_time)) <= prior_s * _BELIEVED

    @cached_property
    def _paced_step_s(self) -> float:
        step = self.profile.step_time
        return step.base_s + step.decode_s * self.company

    @cached_property
    def _full_step_s(self) -> float:
        return self._paced_step_s + self.profile.prefill_s(self.profile.chunk_tokens)


def pooled(costs: Sequence[Cost]) -> Cost:
    """What a task costs on one of these engines, whichever it will be."""
    each = zip(*(cost.profile.step_time.coefficients() for cost in costs), strict=True)
    step_time = StepTime.of(tuple(sum(values) / len(costs) for values in each))
    return replace(costs[0], profile=replace(costs[0].profile, step_time=step_time))


def _usual_step_s(step_time: StepTime) -> float:
    """With a prompt of usual length in it, beside usual company."""
    return step_time.step_s(prefill_tokens=1000, prefill_context=0, sequences=16, kv_tokens=20_000)
