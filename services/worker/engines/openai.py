"""Any server that speaks the OpenAI API, over HTTP: vLLM, SGLang, llama.cpp, Ollama, TGI."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final, Self, TypeVar

from services.worker.engine import (
    EngineDied,
    EngineError,
    EngineRefused,
    EngineUnavailable,
    Job,
    JobId,
    Piece,
)
from services.worker.engines.openai_asking import Asking, Exchange, Manners
from services.worker.engines.openai_http import Broken, Http
from services.worker.engines.openai_metrics import Company, ServerLoad
from services.worker.engines.openai_server import Listing, Server
from services.worker.engines.settings import EngineSettings
from services.worker.engines.visible_pace import VisiblePace
from shared.adapters.profiles import load_profile
from shared.domain.clock import Clock
from shared.domain.errors import SettingsError
from shared.domain.task import Prediction
from shared.messages.body import Body, ChatMessage
from shared.messages.pool import EngineLoad
from shared.scheduling.step_time import EngineProfile

log = logging.getLogger(__name__)

_TRY_AGAIN_S: Final = 0.5
_LOOK_S: Final = 1.0
_DEAD_AFTER_LOOKS: Final = 3
_NO_KEY: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_ONE_TOKEN: Final = Prediction(prompt_tokens=1, output_tokens_p50=1, output_tokens_p90=1)
# A suffix, so that a refusal of it costs no task anything; chat for servers that do nothing else.
_WARM_UPS: Final = (
    Body(route="completions", prompt="pass", suffix="\n", max_tokens=1),
    Body(route="chat", messages=(ChatMessage(role="user", content="pass"),), max_tokens=1),
)
T = TypeVar("T")


class OpenAIEngine:
    def __init__(
        self, *, server: Server, profile: EngineProfile, clock: Clock, record_to: Path | None = None
    ) -> None:
        self.profile: Final = profile
        self.manners: Final = Manners(model=server.model)
        self._pace = VisiblePace.of(profile, clock, record_to)
        self._server = server
        self._clock = clock
        self._http = Http(server)
        self._asking = Asking(http=self._http, manners=self.manners, clock=clock)
        self._exchanges: dict[JobId, Exchange] = {}
        self._company = Company()
        self._looking: asyncio.Task[None] | None = None
        self._unanswered = 0

    @classmethod
    def of(cls, settings: EngineSettings, clock: Clock) -> Self:
        """Raises SettingsError."""
        profile, record_to = load_profile(settings.profile), settings.record_steps
        return cls(server=Server.of(settings), profile=profile, clock=clock, record_to=record_to)

    @property
    def context_tokens(self) -> int | None:
        """As the server lists it; the profile tells of its speed alone."""
        return self.manners.context_tokens

    async def start(self) -> None:
        """Ready when it has answered a first question. Raises SettingsError, EngineUnavailable."""
        give_up = self._clock.monotonic() + self._server.start_s
        self._http.open()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.stop)
            self._adopt(await self._until_up(self._http.listing, give_up))
            if self._server.is_warmed_up:
                await self._warm_up(give_up)
            is_measured = await self._is_measured()
            self._looking = asyncio.create_task(self._keep_looking(is_measured=is_measured))
            stack.pop_all()

    async def stop(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        for exchange in tuple(self._exchanges.values()):
            exchange.close()
        await self._http.close()

    async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        exchange = self._exchange(job, self._server.first_byte_s)
        self._exchanges[job.id] = exchange
        self._company.enter(len(self._exchanges))
        self._pace.enter(job)
        try:
            async with aclosing(self._asking.pieces(exchange)) as pieces:
                async for piece in pieces:
                    if piece.finish_reason is None:
                        self._pace.note(job.id, piece.tokens)
                    else:
                        # Out before the reader goes on.
                        self._leave(exchange)
                    yield piece
        except Broken as error:
            if not exchange.is_aborted:
                raise await self._http.translated(error) from error
        except asyncio.CancelledError:
            # Closing an exchange cancels its question, which from here looks like a cancellation.
            if _is_cancelling():
                raise
            if not exchange.is_aborted:
                raise EngineDied("the engine was stopped") from None
        finally:
            exchange.close()
            self._leave(exchange)

    async def abort(self, job_id: JobId) -> None:
        exchange = self._exchanges.get(job_id)
        if exchange is not None:
            exchange.is_aborted = True
            exchange.close()

    def load(self) -> EngineLoad:
        """Who came by other ways counts as running: it takes part in every step."""
        held, seen = self._exchanges.values(), self._company.seen
        waiting = min(seen.waiting, len(held))
        reported = round(seen.kv_share * self.profile.kv_capacity_tokens)
        return EngineLoad(
            running=len(held) - waiting + self._company.others,
            waiting=waiting,
            prefill_tokens=sum(exchange.prefill_tokens() for exchange in held),
            kv_tokens=max(reported, sum(exchange.kv_tokens() for exchange in held)),
            step_s=self._pace.step_s,
            fitted=self._pace.speed.fitted(),
        )

    def death(self) -> EngineDied | None:
        if self._exchanges or self._unanswered < _DEAD_AFTER_LOOKS:
            return None
        return EngineDied(
            f"{self._server.url} left {self._unanswered} questions in a row without an answer"
        )

    def _exchange(self, job: Job, first_s: float) -> Exchange:
        return Exchange(job=job, heard_at=self._clock.monotonic(), first_s=first_s)

    def _leave(self, exchange: Exchange) -> None:
        job_id = exchange.job.id
        if self._exchanges.get(job_id) is exchange:
            del self._exchanges[job_id]
            self._pace.leave(job_id)

    def _adopt(self, listing: Listing) -> None:
        """Raises SettingsError."""
        manners, server = self.manners, self._server
        manners.model = listing.model_for(server)
        manners.context_tokens = listing.context_of(manners.model)
        manners.order = server.order or listing.order()
        manners.refused |= listing.leaves_out() if server.fim == "auto" else {"suffix"}
        log.info("server found", extra={"model": manners.model, "owner": listing.owner})

    async def _until_up(self, work: Callable[[], Awaitable[T]], give_up: float) -> T:
        """Raises EngineUnavailable when that takes too long, and what else the work raises."""
        url, limit_s, said = self._server.url, self._server.start_s, ""
        while True:
            try:
                return await work()
            except (EngineUnavailable, EngineDied) as error:
                if self._clock.monotonic() >= give_up:
                    raise EngineUnavailable(
                        f"no server answers at {url} within {limit_s:g} s, the limit of"
                        f" CATO_ENGINE_START_S: {error}"
                    ) from error
                if str(error) != said:
                    said = str(error)
                    log.warning("server not up yet", extra={"url": url, "why": said})
            await self._clock.sleep(_TRY_AGAIN_S)

    async def _warm_up(self, give_up: float) -> None:
        """What is done once, at the first answer, is not paid for by a task."""
        refusals: list[str] = []
        for body in _WARM_UPS:
            job = Job(id=JobId("warm-up"), kind="warm-up", body=body, prediction=_ONE_TOKEN)
            try:
                await self._until_up(partial(self._answer_once, job, give_up), give_up)
                return
            except EngineRefused as error:
                refusals.append(str(error))
        raise SettingsError(
            f"{self._server.url} refuses a first question to {self.manners.model!r}:"
            f" {refusals[0]}; look at CATO_ENGINE_URL (which mostly ends in /v1), CATO_ENGINE_MODEL"
            " and CATO_ENGINE_API_KEY"
        )

    async def _answer_once(self, job: Job, give_up: float) -> None:
        """Raises EngineRefused when it never will, EngineUnavailable or EngineDied otherwise."""
        exchange = self._exchange(job, max(1.0, give_up - self._clock.monotonic()))
        try:
            async with aclosing(self._asking.pieces(exchange)) as pieces:
                async for _ in pieces:
                    pass
        except EngineRefused as error:
            if error.is_permanent or error.status in _NO_KEY:
                raise
            raise EngineUnavailable(str(error)) from error
        except Broken as error:
            raise await self._http.translated(error) from error
        finally:
            exchange.close()

    async def _keep_looking(self, *, is_measured: bool) -> None:
        """A server that died while nothing runs on it is to be noticed before the next job."""
        look: Callable[[], Awaitable[object]]
        look = self._read_load if is_measured else self._http.listing
        while True:
            await self._clock.sleep(_LOOK_S)
            try:
                await look()
                self._unanswered = 0
            except (EngineError, SettingsError) as error:
                self._unanswered += 1
                self._company.read(ServerLoad(), len(self._exchanges))
                log.warning("server does not answer", extra={"why": str(error)})

    async def _is_measured(self) -> bool:
        try:
            return await self._read_load()
        except EngineUnavailable:
            return False

    async def _read_load(self) -> bool:
        """Does it measure itself? Raises EngineUnavailable."""
        seen = await self._http.load()
        if seen is not None:
            self._company.read(seen, len(self._exchanges))
        return seen is not None


def _is_cancelling() -> bool:
    """Was this very coroutine's task asked to stop?"""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
