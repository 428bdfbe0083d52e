"""The simulated engine takes the time that a GPU would take, and makes its answers up.

The same batch and step-time model as in simulations, let pass on a clock, real or virtual.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Self

from services.worker.engine import EngineDied, EngineRefused, Job, JobId, Piece
from services.worker.engines.settings import EngineSettings
from services.worker.engines.stopping import StopScanner
from services.worker.engines.synthetic import content_hash, synthetic_tokens, true_lengths
from services.worker.speedometer import Speedometer
from shared.adapters.profiles import load_profile
from shared.domain.clock import Clock
from shared.domain.outcome import FinishReason
from shared.messages.body import Body
from shared.messages.catalogue import Usage
from shared.messages.pool import EngineLoad
from shared.scheduling.batching import Batch, Sequence, Step
from shared.scheduling.fitting import Timing
from shared.scheduling.step_time import EngineProfile

# How much lost time is made up for by shorter pauses; beyond it the machine itself had stopped.
_CATCH_UP_S: Final = 0.1
# A profile without delay shares the loop with everybody else at least this often.
_BREATH_S: Final = 0.001
_MEAN_WEIGHT: Final = 0.1
# What only a model can obey.
_NEEDS_A_MODEL: Final = ("tools", "tool_choice", "response_format", "logprobs")


@dataclass(slots=True, eq=False, kw_only=True)
class _Stream:
    """Between the step that emits tokens and the reader who takes them."""

    sequence: Sequence
    wanted_tokens: int
    text: Iterator[str]
    scanner: StopScanner
    max_tokens: int
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    pending: int = 0
    taken: int = 0
    is_aborted: bool = False

    def take(self) -> Piece:
        """All that was emitted since, up to a stop string."""
        shown: list[str] = []
        before = self.taken
        while self.pending and not self.scanner.is_stopped:
            self.pending -= 1
            self.taken += 1
            shown.append(self.scanner.feed(next(self.text)))
        self.ready.clear()
        finish_reason = self._finish_reason()
        if finish_reason is not None:
            shown.append(self.scanner.rest())
        return Piece(
            text="".join(shown),
            tokens=self.taken - before,
            finish_reason=finish_reason,
            usage=self._usage() if finish_reason else None,
            is_synthetic=True,
        )

    def _finish_reason(self) -> FinishReason | None:
        if self.scanner.is_stopped:
            return FinishReason.STOP
        if self.taken < self.wanted_tokens:
            return None
        return FinishReason.LENGTH if self.taken >= self.max_tokens else FinishReason.STOP

    def _usage(self) -> Usage:
        return Usage(prompt_tokens=self.sequence.prompt_tokens, completion_tokens=self.taken)


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """The step that is being done: whether it prefills, and when it is due."""

    prefills: bool = False
    due: float = 0.0

    def left_s(self, now: float) -> float:
        return max(0.0, self.due - now) if self.prefills else 0.0


class SimulatedEngine:
    """One coroutine steps the batch; each stream wakes when its tokens are there."""

    def __init__(
        self, *, profile: EngineProfile, clock: Clock, speed: Speedometer | None = None
    ) -> None:
        self.profile: Final = profile
        self._speed = speed or Speedometer.of(profile)
        self._clock = clock
        self._batch = Batch(profile=profile)
        self._streams: dict[Sequence, _Stream] = {}
        self._jobs: dict[JobId, _Stream] = {}
        self._work = asyncio.Event()
        self._stepping: asyncio.Task[None] | None = None
        self._step_s = 0.0
        self._under_way = _UnderWay()

    @classmethod
    def of(cls, settings: EngineSettings, clock: Clock) -> Self:
        profile = load_profile(settings.profile)
        return cls(
            profile=profile, clock=clock, speed=Speedometer.of(profile, settings.record_steps)
        )

    @property
    def context_tokens(self) -> int:
        return self.profile.context_tokens

    async def start(self) -> None:
        self._stepping = asyncio.create_task(self._step_for_ever())
        self._stepping.add_done_callback(self._wake_all)

    async def stop(self) -> None:
        if self._stepping is not None:
            self._stepping.cancel()
            with suppress(asyncio.CancelledError):
                await self._stepping

    async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        stream = self._enter(job)
        try:
            while True:
                await stream.ready.wait()
                if stream.is_aborted:
                    return
                self._check_alive()
                piece = stream.take()
                if piece.finish_reason is not None:
                    # Out before the reader goes on: a stop string may have come early.
                    self._leave(job.id, stream)
                yield piece
                if piece.finish_reason is not None:
                    return
        finally:
            self._leave(job.id, stream)

    async def abort(self, job_id: JobId) -> None:
        stream = self._jobs.get(job_id)
        if stream is not None:
            stream.is_aborted = True
            stream.ready.set()
            self._leave(job_id, stream)

    def load(self) -> EngineLoad:
        return EngineLoad(
            running=self._batch.running,
            waiting=self._batch.waiting,
            prefill_tokens=self._batch.unprefilled_tokens,
            step_left_s=self._under_way.left_s(self._clock.monotonic()),
            kv_tokens=self._batch.reserved_tokens,
            step_s=self._step_s,
            fitted=self._speed.fitted(),
        )

    def _enter(self, job: Job) -> _Stream:
        self._check_alive()
        _check_obeyable(job.body)
        true = true_lengths(job)
        if not self._batch.fits(true.prompt_tokens, max(1, job.body.max_tokens)):
            raise EngineRefused(
                f"{true.prompt_tokens} prompt tokens and {job.body.max_tokens} to generate are more"
                f" than the context of {self.profile.context_tokens}",
                is_permanent=True,
                status=400,
            )
        stream = _Stream(
            sequence=Sequence(
                prompt_tokens=true.prompt_tokens,
                output_tokens=true.output_tokens,
                priority=job.priority,
            ),
            wanted_tokens=true.output_tokens,
            text=synthetic_tokens(content_hash(job.body.text())),
            scanner=StopScanner(job.body.stop),
            max_tokens=max(1, job.body.max_tokens),
        )
        self._batch.admit(stream.sequence)
        self._streams[stream.sequence] = self._jobs[job.id] = stream
        self._work.set()
        return stream

    def _leave(self, job_id: JobId, stream: _Stream) -> None:
        self._batch.remove(stream.sequence)
        self._streams.pop(stream.sequence, None)
        if self._jobs.get(job_id) is stream:
            del self._jobs[job_id]

    def _wake_all(self, _: asyncio.Task[None]) -> None:
        for stream in self._streams.values():
            stream.ready.set()

    def death(self) -> EngineDied | None:
        if self._stepping is None or self._stepping.done():
            return EngineDied("the simulated engine is not running")
        return None

    def _check_alive(self) -> None:
        if (death := self.death()) is not None:
            raise death

    async def _step_for_ever(self) -> None:
        # Deadlines are absolute: late timers shorten the next pause, so that nothing drifts.
        due = breathed = self._clock.monotonic()
        while True:
            step = self._batch.next_step()
            if step is None:
                self._work.clear()
                await self._work.wait()
                due = breathed = self._clock.monotonic()
                continue
            now = self._clock.monotonic()
            due = max(due, now - _CATCH_UP_S) + step.duration_s
            self._under_way = _UnderWay(step.prefill_tokens > 0, due)
            if due > now or now - breathed > _BREATH_S:
                await self._clock.sleep(max(0.0, due - now))
                breathed = self._clock.monotonic()
            self._speed.note(_timing(step, self._clock.monotonic() - now))
            self._deliver(step)

    def _deliver(self, step: Step) -> None:
        self._step_s += _MEAN_WEIGHT * (step.duration_s - self._step_s)
        for sequence in step.emitted:
            # A stream may have left while the step was under way.
            stream = self._streams.get(sequence)
            if stream is not None:
                stream.pending += 1
                stream.ready.set()


def _check_obeyable(body: Body) -> None:
    """Raises EngineRefused for the first field that needs a model."""
    asked = body.extra.keys() | ({"logprobs"} if body.logprobs is not None else set())
    for name in _NEEDS_A_MODEL:
        if name in asked:
            raise EngineRefused(
                f"{name}: the simulated engine makes its tokens up and cannot obey it",
                is_permanent=True,
                status=400,
            )


def _timing(step: Step, took_s: float) -> Timing:
    return Timing(
        took_s=took_s,
        prefill_tokens=step.prefill_tokens,
        prefill_context=step.prefill_context,
        sequences=step.decoded,
        kv_tokens=step.kv_tokens,
    )
