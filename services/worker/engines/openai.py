"""Any server that speaks the OpenAI API, over HTTP: vLLM, SGLang, llama.cpp, Ollama."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Final, Self

import aiohttp
from pydantic import JsonValue

from services.worker.engine import (
    EngineDied,
    EngineError,
    EngineRefused,
    EngineUnavailable,
    Job,
    JobId,
    Piece,
)
from services.worker.engines.openai_wire import (
    Answer,
    error_of,
    field_refused,
    path_of,
    payload_of,
    refusal_of,
)
from services.worker.engines.settings import EngineSettings
from services.worker.engines.sse import EventLines, MalformedStream
from services.worker.engines.visible_pace import VisiblePace
from shared.adapters.profiles import load_profile
from shared.domain.clock import Clock
from shared.domain.errors import SettingsError
from shared.messages.pool import EngineLoad
from shared.scheduling.step_time import EngineProfile
from shared.tasks.fim import FIM_TEMPLATES, fim_template_for

log = logging.getLogger(__name__)

_PROBE_S: Final = 2.0
_PROBE_PAUSE_S: Final = 0.5
_RETRY_PAUSE_S: Final = 0.05
_TRIES: Final = 2
_ERROR_BODY_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where it is, what it calls the model, and how long its silence is borne."""

    url: str
    model: str
    api_key: str | None = None
    fim: str = "auto"
    connect_s: float = 5.0
    first_byte_s: float = 120.0
    silence_s: float = 30.0
    start_s: float = 300.0


@dataclass(slots=True, eq=False)
class _Exchange:
    """One job at the server; `asking` until the head of the response has come."""

    job: Job
    asking: asyncio.Task[aiohttp.ClientResponse] | None = None
    response: aiohttp.ClientResponse | None = None
    answer: Answer = field(default_factory=Answer)
    is_aborted: bool = False

    def close(self) -> None:
        """The server sees the connection go, and stops."""
        if self.asking is not None:
            self.asking.cancel()
        if self.response is not None:
            self.response.close()

    def prefill_tokens(self) -> int:
        return 0 if self.answer.tokens else self.job.prediction.prompt_tokens

    def kv_tokens(self) -> int:
        return self.job.prediction.prompt_tokens + self.answer.tokens


class OpenAIEngine:
    def __init__(
        self, *, server: Server, profile: EngineProfile, clock: Clock, record_to: Path | None = None
    ) -> None:
        self.profile: Final = profile
        self._pace = VisiblePace.of(profile, clock, record_to)
        self._server = server
        self._clock = clock
        self._exchanges: dict[JobId, _Exchange] = {}
        self.refused: set[str] = set() if server.fim == "auto" else {"suffix"}
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def of(cls, settings: EngineSettings, clock: Clock) -> Self:
        """Raises SettingsError."""
        if settings.engine_url is None:
            raise SettingsError("CATO_ENGINE_URL is not set; CATO_ENGINE=openai needs it")
        key = settings.engine_api_key
        server = Server(
            url=settings.engine_url.rstrip("/"),
            model=settings.engine_model or settings.model,
            api_key=None if key is None else key.get_secret_value(),
            fim=settings.engine_fim,
            connect_s=settings.engine_connect_s,
            first_byte_s=settings.engine_first_byte_s,
            silence_s=settings.engine_silence_s,
            start_s=settings.engine_start_s,
        )
        profile = load_profile(settings.profile)
        record_to = settings.record_steps
        return cls(server=server, profile=profile, clock=clock, record_to=record_to)

    async def start(self) -> None:
        key = self._server.api_key
        self._session = aiohttp.ClientSession(
            # The feeder limits what runs at once; a second limit here would only hide it.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60.0),
            headers={} if key is None else {"authorization": f"Bearer {key}"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._server.connect_s),
        )
        give_up = self._clock.monotonic() + self._server.start_s
        while not await self._is_up():
            if self._clock.monotonic() >= give_up:
                await self.stop()
                raise EngineUnavailable(f"no server answers at {self._server.url}/models")
            await self._clock.sleep(_PROBE_PAUSE_S)

    async def stop(self) -> None:
        session, self._session = self._session, None
        for exchange in tuple(self._exchanges.values()):
            exchange.close()
        if session is not None:
            await session.close()

    async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        exchange = self._exchanges[job.id] = _Exchange(job)
        self._pace.enter(job)
        try:
            async with aclosing(self._pieces(exchange)) as pieces:
                async for piece in pieces:
                    yield piece
        except (aiohttp.ClientError, OSError, MalformedStream, EngineError) as error:
            if not exchange.is_aborted:
                raise await self._translated(error) from error
        except asyncio.CancelledError:
            # Closing an exchange cancels its question, which from here looks like a cancellation.
            if _is_cancelling():
                raise
            if not exchange.is_aborted:
                raise EngineDied("the engine was stopped") from None
        finally:
            exchange.close()
            if self._exchanges.get(job.id) is exchange:
                del self._exchanges[job.id]
                self._pace.leave(job.id)

    async def abort(self, job_id: JobId) -> None:
        exchange = self._exchanges.get(job_id)
        if exchange is not None:
            exchange.is_aborted = True
            exchange.close()

    def load(self) -> EngineLoad:
        held = self._exchanges.values()
        return EngineLoad(
            running=len(held),
            prefill_tokens=sum(exchange.prefill_tokens() for exchange in held),
            kv_tokens=sum(exchange.kv_tokens() for exchange in held),
            step_s=self._pace.step_s,
            fitted=self._pace.speed.fitted(),
        )

    async def _ask(self, exchange: _Exchange) -> aiohttp.ClientResponse:
        """The head of a good response; what this server refuses is learned, and left out."""
        tries = 0
        while True:
            tries += 1
            payload = self._payload(exchange.job)
            try:
                response = await self._post(exchange, payload)
            except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
                # Often only an idle connection that the server had closed.
                if tries >= _TRIES:
                    raise
                await self._clock.sleep(_RETRY_PAUSE_S)
                continue
            if response.status == HTTPStatus.OK:
                return response
            message = refusal_of(await response.content.read(_ERROR_BODY_BYTES))
            refused = self._learn(response.status, message, payload)
            if refused is None and (tries >= _TRIES or not _may_pass(response.status)):
                raise error_of(response.status, message)

    async def _post(
        self, exchange: _Exchange, payload: dict[str, JsonValue]
    ) -> aiohttp.ClientResponse:
        if self._session is None:
            raise EngineDied("the engine is not started")
        if exchange.is_aborted:
            raise EngineUnavailable("aborted")
        exchange.asking = asyncio.ensure_future(
            self._session.post(f"{self._server.url}{path_of(exchange.job)}", json=payload)
        )
        try:
            async with asyncio.timeout(self._server.first_byte_s):
                exchange.response = await exchange.asking
        except TimeoutError as error:
            raise EngineUnavailable(
                f"the server was silent for {self._server.first_byte_s:g} s"
            ) from error
        return exchange.response

    async def _pieces(self, exchange: _Exchange) -> AsyncGenerator[Piece, None]:
        response = await self._ask(exchange)
        async with aclosing(self._events(exchange, response)) as events:
            async for event in events:
                piece = exchange.answer.read(event)
                if piece is not None:
                    self._pace.note(exchange.job.id, piece.tokens)
                    yield piece
        if not exchange.is_aborted:
            yield exchange.answer.last(exchange.job.prediction.prompt_tokens)

    async def _events(
        self, exchange: _Exchange, response: aiohttp.ClientResponse
    ) -> AsyncGenerator[bytes, None]:
        lines = EventLines()
        while chunk := await self._next_chunk(response, is_first=not exchange.answer.tokens):
            for event in lines.feed(chunk):
                if event == b"[DONE]":
                    return
                yield event

    async def _next_chunk(self, response: aiohttp.ClientResponse, *, is_first: bool) -> bytes:
        limit_s = self._server.first_byte_s if is_first else self._server.silence_s
        try:
            async with asyncio.timeout(limit_s):
                return await response.content.readany()
        except TimeoutError as error:
            raise EngineUnavailable(f"the server was silent for {limit_s:g} s") from error

    def _payload(self, job: Job) -> dict[str, JsonValue]:
        server = self._server
        fim = FIM_TEMPLATES.get(server.fim) or fim_template_for(server.model)
        return payload_of(job, model=server.model, refused=self.refused, fim=fim)

    def _learn(self, status: int, message: str, payload: dict[str, JsonValue]) -> str | None:
        if status not in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY):
            return None
        refused = field_refused(message, payload)
        if refused is not None:
            log.info("server refuses a field", extra={"field": refused, "said": message})
            self.refused.add(refused)
        return refused

    async def _translated(self, error: Exception) -> EngineError:
        """A broken connection to a server that still answers is bad luck, else it is dead."""
        if isinstance(error, EngineRefused | EngineUnavailable | EngineDied):
            return error
        said = f"the server broke off: {type(error).__name__}: {error}"
        if isinstance(error, MalformedStream) or await self._is_up():
            return EngineUnavailable(said)
        return EngineDied(said)

    async def _is_up(self) -> bool:
        if self._session is None:
            return False
        with suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with (
                asyncio.timeout(_PROBE_S),
                self._session.get(f"{self._server.url}/models") as response,
            ):
                return response.status < HTTPStatus.INTERNAL_SERVER_ERROR
        return False


def _may_pass(status: int) -> bool:
    return status in (
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    )


def _is_cancelling() -> bool:
    """Was this very coroutine's task asked to stop?"""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
