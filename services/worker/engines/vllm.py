"""vLLM in process: its asynchronous engine, ordered by deadline, without a server in between."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

from pydantic import JsonValue

from services.worker.engine import EngineDied, Job, JobId, Piece
from services.worker.engines.settings import EngineSettings
from services.worker.engines.vllm_leash import Leash
from services.worker.engines.vllm_meter import StepMeter
from services.worker.engines.vllm_model import Model, import_vllm
from services.worker.engines.vllm_wire import (
    check_obeyable,
    given_token_ids,
    is_infill,
    prompt_of,
    refused,
    sampling_of,
    turns_of,
)
from services.worker.speedometer import Speedometer
from shared.adapters.profiles import load_profile
from shared.domain.clock import Clock
from shared.domain.outcome import FinishReason
from shared.messages.body import Body
from shared.messages.catalogue import Usage
from shared.messages.pool import EngineLoad
from shared.scheduling.step_time import EngineProfile

if TYPE_CHECKING:
    from services.worker.engines.vllm_process import Emitted, VLLMProcess

log = logging.getLogger(__name__)

_DEAD: Final = "vLLM is not running"
_WATCH_S: Final = 0.1
# Longer texts take a millisecond or more to turn into tokens, and others want the loop meanwhile.
_SHORT_CHARS: Final = 4_000


@dataclass(slots=True, eq=False)
class _Stream:
    """One job; `is_in` once vLLM has it, `is_over` when its reader is to hear no more."""

    job: Job
    prompt_tokens: int
    tokens: int = 0
    is_in: bool = False
    is_over: bool = False

    def prefill_tokens(self) -> int:
        """What it is believed to prefill, before it has told."""
        return max(1, self.prompt_tokens - self.job.cached_tokens)

    def piece(self, emitted: "Emitted") -> Piece:
        self.tokens += emitted.tokens
        if emitted.finish_reason is None:
            return Piece(text=emitted.text, tokens=emitted.tokens, logprobs=emitted.logprobs)
        usage = Usage(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.tokens,
            cached_tokens=emitted.cached_tokens,
        )
        is_full = emitted.finish_reason == FinishReason.LENGTH
        return Piece(
            text=emitted.text,
            tokens=emitted.tokens,
            logprobs=emitted.logprobs,
            finish_reason=FinishReason.LENGTH if is_full else FinishReason.STOP,
            usage=usage,
        )


class VLLMEngine:
    def __init__(
        self,
        *,
        model: Model,
        profile: EngineProfile,
        clock: Clock,
        speed: Speedometer | None = None,
    ) -> None:
        self.profile: EngineProfile = profile
        self._speed = speed or Speedometer.of(profile)
        self._model = model
        self._clock = clock
        self._streams: dict[JobId, _Stream] = {}
        self._meter = StepMeter(clock=clock)
        self._process: VLLMProcess | None = None
        self._watching: asyncio.Task[None] | None = None
        self._leash = Leash()
        self._mark_ids: list[int] = []
        # Of the prompt tokens computed, those of prompts that are through.
        self._through_tokens = 0

    @classmethod
    def of(cls, settings: EngineSettings, clock: Clock) -> Self:
        """Raises SettingsError."""
        profile = load_profile(settings.profile)
        speed = Speedometer.of(profile, settings.record_steps)
        return cls(model=Model.of(settings), profile=profile, clock=clock, speed=speed)

    @property
    def context_tokens(self) -> int:
        return self.profile.context_tokens

    async def start(self) -> None:
        """Ready when a first answer has come. Raises SettingsError, EngineUnavailable."""
        process = self._process = await self._loaded(self._model.arguments(self.profile))
        limits = process.limits
        self._model.check_tokenizer(
            largest_id=process.largest_token_id(), vocabulary=limits.vocabulary
        )
        self.profile = replace(
            self.profile,
            chunk_tokens=limits.chunk_tokens,
            context_tokens=limits.context_tokens,
            kv_capacity_tokens=limits.kv_capacity_tokens,
        )
        self._meter.kv_capacity_tokens = limits.kv_capacity_tokens
        self._mark_ids = process.ids_of(self._model.fim.stop)
        self._watching = asyncio.create_task(self._watch(process))
        await self._warm_up(process)

    async def stop(self) -> None:
        process, self._process = self._process, None
        if self._watching is not None:
            self._watching.cancel()
        if process is None:
            # It may be loading, and would do so to the end.
            self._leash.pull()
            return
        for stream in tuple(self._streams.values()):
            await process.abort(stream.job.id)
        await asyncio.to_thread(process.shutdown)
        self._leash.let_go()

    async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        process = self._alive()
        stream = _Stream(job, job.prediction.prompt_tokens)
        self._streams[job.id] = stream
        try:
            async with aclosing(self._pieces(process, stream)) as pieces:
                async for piece in pieces:
                    yield piece
            if not stream.is_over:
                raise EngineDied("vLLM was stopped")
        finally:
            self._leave(stream)

    async def abort(self, job_id: JobId) -> None:
        stream = self._streams.get(job_id)
        if stream is not None and self._process is not None:
            self._leave(stream)
            await self._process.abort(job_id)

    def load(self) -> EngineLoad:
        held = self._streams.values()
        waiting = min(self._meter.waiting, len(held))
        return EngineLoad(
            running=len(held) - waiting,
            waiting=waiting,
            prefill_tokens=self._prefill_tokens(),
            kv_tokens=self._meter.kv_tokens if held else 0,
            step_s=self._meter.step_s,
            fitted=self._speed.fitted(),
        )

    def death(self) -> EngineDied | None:
        is_alive = self._process is not None and not self._process.is_dead()
        return None if is_alive else EngineDied(_DEAD)

    async def _loaded(self, arguments: Mapping[str, JsonValue]) -> "VLLMProcess":
        vllm = await asyncio.to_thread(import_vllm)
        loading = asyncio.ensure_future(asyncio.to_thread(vllm.load, arguments, self._meter))
        while not loading.done():
            await asyncio.wait({loading}, timeout=_WATCH_S)
            self._leash.hold_children()
        return loading.result()

    async def _pieces(self, process: "VLLMProcess", stream: _Stream) -> AsyncGenerator[Piece, None]:
        job = stream.job
        ids = await self._ids(process, job.body)
        sampling = self._sampling(process, job.body, len(ids))
        if stream.is_over:
            return
        self._enter(stream, len(ids))
        async with aclosing(process.answer(job.id, ids, sampling, job.priority)) as answer:
            async for emitted in answer:
                if not stream.tokens and emitted.tokens:
                    self._through_tokens += len(ids) - emitted.cached_tokens
                piece = stream.piece(emitted)
                if piece.finish_reason is not None:
                    # Out before the reader goes on.
                    self._leave(stream)
                yield piece

    async def _ids(self, process: "VLLMProcess", body: Body) -> list[int]:
        """Raises EngineRefused."""
        check_obeyable(body)
        given = given_token_ids(body, vocabulary=process.limits.vocabulary)
        if given is not None:
            return given
        if body.route == "chat":
            asked = body.extra.get("chat_template_kwargs")
            own = asked if isinstance(asked, dict) else {}
            return await asyncio.to_thread(process.encode_chat, turns_of(body.messages), own)
        text = prompt_of(body, self._model.fim)
        if len(text) <= _SHORT_CHARS:
            return process.encode(text)
        return await asyncio.to_thread(process.encode, text)

    def _sampling(
        self, process: "VLLMProcess", body: Body, prompt_tokens: int
    ) -> dict[str, JsonValue]:
        """Raises EngineRefused."""
        context = process.limits.context_tokens
        if prompt_tokens >= context:
            raise refused(
                f"the prompt has {prompt_tokens} tokens; the context of {context} has to hold it"
                " and at least one token more"
            )
        sampling = sampling_of(body, defaults=process.defaults, room_tokens=context - prompt_tokens)
        if is_infill(body):
            asked = sampling.get("stop_token_ids")
            own = asked if isinstance(asked, list) else []
            sampling["stop_token_ids"] = [*own, *self._mark_ids]
        return sampling

    def _enter(self, stream: _Stream, prompt_tokens: int) -> None:
        if not any(other.is_in for other in self._streams.values()):
            self._meter.work_begins()
            self._through_tokens = self._meter.prefilled_tokens
        stream.prompt_tokens = prompt_tokens
        stream.is_in = True

    def _leave(self, stream: _Stream) -> None:
        stream.is_over = True
        if self._streams.get(stream.job.id) is stream:
            del self._streams[stream.job.id]

    def _prefill_tokens(self) -> int:
        unbegun = sum(each.prefill_tokens() for each in self._streams.values() if not each.tokens)
        begun = self._meter.prefilled_tokens - self._through_tokens
        return max(0, unbegun - max(0, begun))

    def _alive(self) -> "VLLMProcess":
        if self._process is None or self._process.is_dead():
            raise EngineDied(_DEAD)
        return self._process

    async def _warm_up(self, process: "VLLMProcess") -> None:
        """What is done once, at the first answer, is not paid for by a task."""
        sampling: dict[str, JsonValue] = {**process.defaults, "max_tokens": 2}
        async with aclosing(
            process.answer(JobId("warm-up"), process.encode("pass"), sampling, 0)
        ) as answer:
            async for _ in answer:
                pass
        self._meter.step_s, self._meter.speed = 0.0, self._speed

    async def _watch(self, process: "VLLMProcess") -> None:
        """An engine that makes no step while it holds work is killed, and its streams end."""
        while not process.is_dead():
            await self._clock.sleep(_WATCH_S)
            silent_s = self._clock.monotonic() - self._meter.stepped_at
            is_busy = any(stream.is_in for stream in self._streams.values())
            if is_busy and silent_s > self._model.silence_s:
                log.error("vLLM makes no step", extra={"silent_s": silent_s})
                self._leash.pull()
                return
