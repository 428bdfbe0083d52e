"""What vLLM tells of its own steps; the load that a worker reports is read from it."""

from typing import Final, Protocol

from services.worker.speedometer import Speedometer
from shared.domain.clock import Clock
from shared.scheduling.fitting import Timing

_MEAN_WEIGHT: Final = 0.1


class _StepDetails(Protocol):
    @property
    def num_ctx_tokens(self) -> int: ...
    @property
    def num_generation_requests(self) -> int: ...


class _SchedulerStats(Protocol):
    """The part of vLLM's class of the same name that is read here."""

    @property
    def num_waiting_reqs(self) -> int: ...
    @property
    def kv_cache_usage(self) -> float: ...
    @property
    def iteration_details(self) -> _StepDetails | None: ...


class StepMeter:
    """One of vLLM's stat loggers: told after each step.

    `step_s` is a moving average from step to step; `prefilled_tokens` counts prompt tokens that
    were computed; `kv_share` is the used share of the KV cache; `stepped_at` is monotonic: the last
    step, or when the idle engine was given work. `speed` learns of each step once it is there.
    """

    def __init__(
        self, *, clock: Clock, speed: Speedometer | None = None, kv_capacity_tokens: int = 0
    ) -> None:
        self._clock = clock
        self.speed = speed
        self.kv_capacity_tokens = kv_capacity_tokens
        self.waiting = 0
        self.kv_share = 0.0
        self.step_s = 0.0
        self.prefilled_tokens = 0
        self.stepped_at = 0.0

    @property
    def kv_tokens(self) -> int:
        return round(self.kv_share * self.kv_capacity_tokens)

    def work_begins(self) -> None:
        """The engine was idle, and is not any more."""
        self.stepped_at = self._clock.monotonic()

    def record(
        self,
        scheduler_stats: _SchedulerStats | None,
        iteration_stats: object,
        mm_cache_stats: object = None,
        engine_idx: int = 0,
    ) -> None:
        if scheduler_stats is None:
            return
        now = self._clock.monotonic()
        took_s, self.stepped_at = now - self.stepped_at, now
        self.waiting = scheduler_stats.num_waiting_reqs
        self.kv_share = scheduler_stats.kv_cache_usage
        details = scheduler_stats.iteration_details
        if details is not None:
            self.step_s += (_MEAN_WEIGHT if self.step_s else 1.0) * (took_s - self.step_s)
            self.prefilled_tokens += details.num_ctx_tokens
            if self.speed is not None:
                self.speed.note(self._timing(details, took_s))

    def log_engine_initialized(self) -> None:
        """vLLM's configuration is in its own log."""

    def _timing(self, details: _StepDetails, took_s: float) -> Timing:
        return Timing(
            took_s=took_s,
            prefill_tokens=details.num_ctx_tokens,
            # How much of each prompt was there before, vLLM does not tell.
            prefill_context=0.0,
            sequences=details.num_generation_requests,
            kv_tokens=self.kv_tokens,
        )
