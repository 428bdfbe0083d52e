"""The embedded engine runs a small model on the worker's own cores: real tokens without a GPU.

One coroutine plans each step and hands it to a thread; in between, the thread touches nothing that
the event loop changes.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from services.worker.engine import EngineDied, EngineRefused, Job, JobId, Piece
from services.worker.engines.embedded_batch import Member, PlacedBatch, Step
from services.worker.engines.embedded_stream import Stream
from services.worker.engines.settings import EngineSettings
from services.worker.engines.stopping import StopScanner
from services.worker.speedometer import Speedometer
from shared.adapters.profiles import load_profile
from shared.domain.clock import Clock
from shared.domain.errors import SettingsError
from shared.messages.pool import EngineLoad
from shared.scheduling.fitting import Timing
from shared.scheduling.step_time import EngineProfile

if TYPE_CHECKING:
    from services.worker.engines.embedded_choice import Chosen
    from services.worker.engines.embedded_parts import Parts
    from services.worker.engines.embedded_text import Opening

log = logging.getLogger(__name__)

# A chunk bounds how long everybody else's next token waits for a prompt.
_CHUNK_TOKENS: Final = 256
# Where attention costs as much as all else (`deploy.models.step_times`).
_FAR_TOKENS: Final = 1350
_PLACES: Final = 16
_MEAN_WEIGHT: Final = 0.1
_CANNOT_OBEY: Final = (
    "tools",
    "tool_choice",
    "response_format",
    "truncate_prompt_tokens",
)


class EmbeddedEngine:
    """A batch with a thread that computes; each stream wakes when its tokens are there."""

    def __init__(
        self, *, parts: "Parts", profile: EngineProfile, clock: Clock, speed: Speedometer
    ) -> None:
        self.profile: Final = profile
        self._parts = parts
        self._clock = clock
        self._speed = speed
        self._batch = PlacedBatch(
            places=profile.max_sequences,
            chunk_tokens=profile.chunk_tokens,
            far_tokens=_FAR_TOKENS,
        )
        self._streams: dict[Member, Stream] = {}
        self._jobs: dict[JobId, Stream] = {}
        # Of which the prompt is still to become tokens.
        self._coming: dict[JobId, asyncio.Future[Opening]] = {}
        self._entered = 0
        self._work = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embedded-engine")
        self._stepping: asyncio.Task[None] | None = None
        self._step_s = 0.0

    @classmethod
    def of(cls, settings: EngineSettings, clock: Clock) -> Self:
        """Raises SettingsError: no runtime, no model, or files that do not fit each other."""
        if settings.engine_model is None:
            raise SettingsError(
                "CATO_ENGINE_MODEL is not set; CATO_ENGINE=embedded needs the folder of a model,"
                " like deploy/models/cato-code"
            )
        try:
            from services.worker.engines.embedded_parts import Parts
        except ImportError as error:
            raise SettingsError(
                f"CATO_ENGINE=embedded needs {error.name}: pip install 'cato[embedded]'"
            ) from error
        told = load_profile(settings.profile)
        places = min(_PLACES, told.max_sequences)
        # One place more than can decode: there a prompt is read.
        parts = Parts.load(
            Path(settings.engine_model), places=places + 1, threads=settings.engine_threads
        )
        context_tokens = parts.model.shape.context_tokens
        profile = replace(
            told,
            chunk_tokens=_CHUNK_TOKENS,
            max_sequences=places,
            context_tokens=context_tokens,
            kv_capacity_tokens=places * context_tokens,
        )
        speed = Speedometer.of(profile, settings.record_steps)
        return cls(parts=parts, profile=profile, clock=clock, speed=speed)

    @property
    def context_tokens(self) -> int:
        return self.profile.context_tokens

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._parts.warm_up)
        self._stepping = asyncio.create_task(self._step_for_ever())
        self._stepping.add_done_callback(self._wake_all)

    async def stop(self) -> None:
        if self._stepping is not None:
            self._stepping.cancel()
            await asyncio.wait([self._stepping])
        self._thread.shutdown(wait=False)

    async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        opening = await self._opened(job)
        if opening is None:
            return
        stream = self._enter(job, opening)
        try:
            while True:
                await stream.ready.wait()
                if stream.is_aborted:
                    return
                if stream.finish_reason is None:
                    self._check_alive()
                piece = stream.take()
                yield piece
                if piece.finish_reason is not None:
                    return
        finally:
            self._leave(job.id, stream)

    async def abort(self, job_id: JobId) -> None:
        if (opened := self._coming.pop(job_id, None)) is not None:
            opened.cancel()
        stream = self._jobs.get(job_id)
        if stream is not None:
            stream.is_aborted = True
            stream.ready.set()
            self._leave(job_id, stream)

    def load(self) -> EngineLoad:
        members = self._batch.members()
        waiting = len(self._batch.waiting)
        return EngineLoad(
            running=len(members) - waiting,
            waiting=waiting + len(self._coming),
            prefill_tokens=sum(member.unread() for member in members),
            kv_tokens=sum(member.cached for member in members),
            step_s=self._step_s,
            fitted=self._speed.fitted(),
        )

    async def _opened(self, job: Job) -> "Opening | None":
        """None when the job was aborted meanwhile; a long text would hold up all other streams."""
        for name in _CANNOT_OBEY:
            if name in job.body.extra:
                raise _refused(f"{name}: this model only writes code on, and cannot obey it")
        loop = asyncio.get_running_loop()
        opened = loop.run_in_executor(None, self._parts.opening, job.body)
        self._coming[job.id] = opened
        try:
            return await opened
        except asyncio.CancelledError:
            if self._coming.get(job.id) is opened:
                raise
            return None
        finally:
            if self._coming.get(job.id) is opened:
                del self._coming[job.id]

    def _enter(self, job: Job, opening: "Opening") -> Stream:
        self._check_alive()
        room = self.profile.context_tokens - opening.length()
        if room < 1:
            raise _refused(
                f"the prompt has {opening.length()} tokens, and with at least one to generate that"
                f" is more than the context of {self.profile.context_tokens}"
            )
        self._entered += 1
        stream = self._begun(job, opening, room)
        self._batch.add(stream.member)
        self._streams[stream.member] = self._jobs[job.id] = stream
        self._work.set()
        return stream

    def _begun(self, job: Job, opening: "Opening", room_tokens: int) -> Stream:
        tokens = list(opening.tokens)
        return Stream(
            member=Member(
                prompt_tokens=len(tokens), rank=(job.priority, self._entered), tokens=tokens
            ),
            prompt_tokens=opening.length(),
            start=len(tokens),
            cut=opening.cut,
            choice=self._parts.choice(job.body, opening),
            writer=self._parts.writer(opening),
            scanner=StopScanner(self._parts.stops(job.body)),
            end=self._parts.vocabulary.end,
            max_tokens=max(1, min(job.body.max_tokens, room_tokens)),
        )

    def _leave(self, job_id: JobId, stream: Stream) -> None:
        self._batch.remove(stream.member)
        self._streams.pop(stream.member, None)
        if self._jobs.get(job_id) is stream:
            del self._jobs[job_id]

    def _wake_all(self, stepping: asyncio.Task[None]) -> None:
        if not stepping.cancelled():
            log.error("embedded engine broke", exc_info=stepping.exception())
        for stream in self._streams.values():
            stream.ready.set()

    def death(self) -> EngineDied | None:
        if self._stepping is None or self._stepping.done():
            return EngineDied("the embedded engine is not running")
        return None

    def _check_alive(self) -> None:
        if (death := self.death()) is not None:
            raise death

    async def _step_for_ever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            step = self._batch.next_step()
            if step is None:
                self._work.clear()
                await self._work.wait()
                continue
            choices = [self._streams[member].choice for member in step.emitting()]
            began = self._clock.monotonic()
            chosen = await loop.run_in_executor(self._thread, self._parts.compute, step, choices)
            self._note(step, self._clock.monotonic() - began)
            self._deliver(step, chosen)

    def _deliver(self, step: Step, chosen: Sequence["Chosen"]) -> None:
        emitting = step.emitting()
        self._batch.done(step)
        for member, each in zip(emitting, chosen, strict=True):
            # A stream may have left while the step was under way.
            stream = self._streams.get(member)
            if stream is not None:
                stream.emit(each)
                if stream.finish_reason is not None:
                    self._batch.remove(member)

    def _note(self, step: Step, took_s: float) -> None:
        self._step_s += _MEAN_WEIGHT * (took_s - self._step_s)
        read = step.prefilling.cached if step.prefilling else 0
        self._speed.note(
            Timing(
                took_s=took_s,
                prefill_tokens=step.chunk_tokens,
                prefill_context=step.chunk_tokens * read,
                sequences=len(step.decoding),
                kv_tokens=step.kv_tokens(),
            )
        )


def _refused(message: str) -> EngineRefused:
    return EngineRefused(message, is_permanent=True, status=400)
