"""One question to a server and its answer; asked again only while nothing of an answer has come."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from typing import Final, TypeVar

import aiohttp
from pydantic import JsonValue

from services.worker.engine import EngineUnavailable, Job, Piece
from services.worker.engines.openai_http import Broken, Http
from services.worker.engines.openai_server import Order, headers_of, pauses_s, priority_of
from services.worker.engines.openai_wire import (
    Answer,
    error_of,
    field_refused,
    may_pass,
    path_of,
    payload_of,
    refusal_of,
    stops_of,
)
from services.worker.engines.sse import EventLines
from services.worker.engines.stopping import StopScanner
from shared.domain.clock import Clock
from shared.tasks.fim import FIM_TEMPLATES, fim_template_for

log = logging.getLogger(__name__)

_ERROR_BODY_BYTES: Final = 64 * 1024
# For the end of a body after its last event, so that its connection can be used again.
_PARTING_S: Final = 0.05
_PASSING = (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError)
T = TypeVar("T")


@dataclass(slots=True, eq=False, kw_only=True)
class Exchange:
    """One job at the server; `heard_at` is when it was asked, later when it last said something.

    `first_s` is how long its first token may take.
    """

    job: Job
    heard_at: float
    first_s: float
    cancel: Callable[[], object] | None = None
    response: aiohttp.ClientResponse | None = None
    answer: Answer = field(default_factory=Answer)
    is_begun: bool = False
    is_aborted: bool = False

    def close(self) -> None:
        """The server sees the connection go, and stops."""
        if self.cancel is not None:
            self.cancel()
        if self.response is not None:
            self.response.close()

    def prefill_tokens(self) -> int:
        if self.answer.tokens:
            return 0
        return self.job.prediction.prompt_tokens - self.job.cached_tokens

    def kv_tokens(self) -> int:
        return self.job.prediction.prompt_tokens + self.answer.tokens


@dataclass(slots=True, kw_only=True)
class Manners:
    """How a server wants to be asked: its name for the model, how much it takes (None: it does not
    tell), which priorities it serves first, and the fields that it has `refused`."""

    model: str
    context_tokens: int | None = None
    order: Order = "low-first"
    refused: set[str] = field(default_factory=set)


@dataclass(slots=True, kw_only=True)
class Asking:
    http: Http
    manners: Manners
    clock: Clock

    async def pieces(self, exchange: Exchange) -> AsyncGenerator[Piece, None]:
        """Raises what `Broken` names."""
        pauses = pauses_s(exchange.job.id)
        while True:
            try:
                async with aclosing(self._answer(exchange)) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            except Broken as error:
                pause_s = next(pauses, None)
                is_final = exchange.is_begun or exchange.is_aborted or pause_s is None
                if is_final or not (isinstance(error, _PASSING) or may_pass(error)):
                    raise
                log.info("asking the server again", extra={"why": str(error)})
            await _while_open(exchange, partial(self.clock.sleep, pause_s or 0.0))

    async def _answer(self, exchange: Exchange) -> AsyncGenerator[Piece, None]:
        response = await self._ask(exchange)
        answer, lines = exchange.answer, EventLines()
        while not answer.is_done() and (
            chunk := await self._in_time(exchange, response.content.readany())
        ):
            for event in lines.feed(chunk):
                piece = answer.read(event)
                if piece is not None:
                    exchange.is_begun = True
                    yield piece
                if exchange.is_begun:
                    # Not before the reader is back: its own time is not the server's silence.
                    exchange.heard_at = self.clock.monotonic()
                if answer.is_done():
                    break
        if not exchange.is_aborted:
            yield answer.last(exchange.job.prediction.prompt_tokens)
            await _part(response, answer)

    async def _ask(self, exchange: Exchange) -> aiohttp.ClientResponse:
        """The head of a good response; what this server refuses is learned, and left out."""
        while True:
            payload, stops = self._payload(exchange.job)
            exchange.answer = Answer(StopScanner(stops), exchange.job.body.logprobs)
            response = await self._post(exchange, payload)
            if response.status == HTTPStatus.OK:
                _check_is_stream(response)
                return response
            body = await self._in_time(exchange, response.content.read(_ERROR_BODY_BYTES))
            response.release()
            message = refusal_of(body)
            if not self._learn(response.status, message, payload):
                raise error_of(response.status, message)

    async def _post(
        self, exchange: Exchange, payload: dict[str, JsonValue]
    ) -> aiohttp.ClientResponse:
        job = exchange.job
        headers = headers_of(job, self.clock.now())
        ask = partial(self.http.post, path_of(job), payload, headers)
        response = await self._in_time(exchange, _while_open(exchange, ask))
        exchange.response = response
        return response

    async def _in_time(self, exchange: Exchange, work: Awaitable[T]) -> T:
        server = self.http.server
        limit_s = server.silence_s if exchange.is_begun else exchange.first_s
        left_s = exchange.heard_at + limit_s - self.clock.monotonic()
        try:
            async with asyncio.timeout(max(0.0, left_s)):
                return await work
        except aiohttp.ServerTimeoutError:
            raise  # Of the connection, which has a limit of its own.
        except TimeoutError as error:
            late = server.no_next_token() if exchange.is_begun else server.no_first_token(limit_s)
            raise late from error

    def _payload(self, job: Job) -> tuple[dict[str, JsonValue], tuple[str, ...]]:
        manners, server = self.manners, self.http.server
        fim = FIM_TEMPLATES.get(server.fim) or fim_template_for(manners.model)
        asked = replace(job, priority=priority_of(job, manners.order))
        payload = payload_of(asked, model=manners.model, refused=manners.refused, fim=fim)
        return payload, stops_of(asked, manners.refused, fim)

    def _learn(self, status: int, message: str, payload: dict[str, JsonValue]) -> bool:
        refused = field_refused(status, message, payload)
        if refused is None:
            return False
        # Not in its own words: servers quote what a client wrote.
        log.info("server refuses a field", extra={"field": refused})
        self.manners.refused.add(refused)
        return True


async def _while_open(exchange: Exchange, begin: Callable[[], Coroutine[object, object, T]]) -> T:
    """Closing the exchange cancels the work. Raises EngineUnavailable when it was aborted."""
    if exchange.is_aborted:
        raise EngineUnavailable("aborted")
    work = asyncio.create_task(begin())
    exchange.cancel = work.cancel
    return await work


async def _part(response: aiohttp.ClientResponse, answer: Answer) -> None:
    if answer.stops.is_stopped:
        return  # It may still be at it, and stops when the connection is closed.
    try:
        async with asyncio.timeout(_PARTING_S):
            await response.content.read()
    except (TimeoutError, aiohttp.ClientError, OSError):
        response.close()


def _check_is_stream(response: aiohttp.ClientResponse) -> None:
    if response.content_type != "text/event-stream":
        raise EngineUnavailable(
            f"{response.url} answered with {response.content_type}, not with a stream of events;"
            " is CATO_ENGINE_URL the address of its OpenAI API, which mostly ends in /v1?"
        )
