"""What a task will cost on an engine, before it has run."""

from dataclasses import dataclass

from shared.domain.task import LatencyClass, Task
from shared.scheduling.step_time import EngineProfile


@dataclass(frozen=True, slots=True, kw_only=True)
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
        return first_s + task.prediction.output_tokens_p50 * self._paced_step_s()

    def first_token_s(self, task: Task) -> float:
        """From a start on an engine with nothing else to prefill."""
        profile = self.profile
        prompt_tokens = task.prediction.prompt_tokens
        steps = max(1, -(-prompt_tokens // profile.chunk_tokens))
        return steps * self._paced_step_s() + profile.step_time.prefill_s * prompt_tokens

    def alone_s(self, task: Task) -> float:
        """As `promised_s`, on an engine with nothing else to do."""
        prediction = task.prediction
        if task.latency_class is LatencyClass.TTFT:
            return self.profile.first_token_s(prediction.prompt_tokens)
        return self.profile.alone_s(prediction.prompt_tokens, prediction.output_tokens_p50)

    def prefill_s(self, task: Task) -> float:
        """GPU-seconds of its prompt alone."""
        return self.profile.step_time.prefill_s * task.prediction.prompt_tokens

    def work_s(self, task: Task) -> float:
        """GPU-seconds taken from everybody else: prefill, and a share of each decode step."""
        step = self.profile.step_time
        held = task.prediction.prompt_tokens + task.prediction.output_tokens_p50 / 2
        each_s = step.base_s / self.company + step.decode_s + step.kv_s * held
        return self.prefill_s(task) + task.prediction.output_tokens_p50 * each_s

    def latest_start_at(self, task: Task) -> float:
        """The last instant at which a start can still keep the promise."""
        return task.deadline_at - self.promised_s(task)

    def paced_s(self, task: Task, share: float) -> float:
        """As `promised_s`, with a whole answer decoded in no less than this share of its promise.

        Beside others steps are longer than alone.
        """
        if task.latency_class is LatencyClass.TTFT or task.promise.e2e_s is None:
            return self.promised_s(task)
        paced_s = share * task.promise.e2e_s
        alone_s = task.prediction.output_tokens_p50 * self._paced_step_s()
        return self.first_token_s(task) + max(paced_s, alone_s)

    def _paced_step_s(self) -> float:
        step = self.profile.step_time
        return step.base_s + step.decode_s * self.company
