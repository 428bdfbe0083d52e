"""A client sends many requests over one session and writes down what it sees; it never retries."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Self

import aiohttp

from loadgen.drivers.answer import Answer
from loadgen.drivers.asking import Request
from loadgen.drivers.errors import ServerRefused, ServerUnreachable
from loadgen.drivers.event_stream import EventStream, failure_code
from loadgen.report.observation import Observation
from shared.adapters.clock import SystemClock

# A connection that a server has just closed for idleness would look like a failure of the house.
_KEEP_ALIVE_S: Final = 3.0
_CONNECT_S: Final = 10.0
_PATIENCE_S: Final = 120.0
# Whoever leaves says so, and does not wait for long to be heard.
_FAREWELL_S: Final = 5.0
_READ_BYTES: Final = 256 * 1024
_UNAUTHORIZED: Final = 401
_FAILURES_FROM: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A request as it went: how late after its planned instant, and what came of it."""

    late_s: float
    observation: Observation


@dataclass(slots=True, kw_only=True)
class Client:
    url: str
    session: aiohttp.ClientSession
    clock: SystemClock

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator[Self]:
        # No limit: a burst must reach the house as a burst.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_S)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S)
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_READ_BYTES,
        ) as session:
            yield cls(url=url.rstrip("/"), session=session, clock=SystemClock())

    async def models(self, key: str | None = None) -> tuple[str, ...]:
        """The names it serves, which also shows that it is there."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        url = f"{self.url}/v1/models"
        try:
            async with self.session.get(url, headers=headers) as response:
                if response.status == _UNAUTHORIZED:
                    raise ServerRefused(url, response.status, "--api-key-file names a file of keys")
                if response.status >= _FAILURES_FROM:
                    raise ServerRefused(
                        url, response.status, "expected an OpenAI-compatible server"
                    )
                listed = await response.json(content_type=None)
                return tuple(str(model["id"]) for model in listed["data"])
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ServerUnreachable(self.url, _reason(error)) from error
        except (ValueError, TypeError, KeyError) as error:
            raise ServerRefused(url, 200, "but not as an OpenAI-compatible server does") from error

    async def send(self, request: Request, *, planned_at: float, began_at: float) -> Sent:
        """Instants are of this client's monotonic clock."""
        sent_at = self.clock.monotonic()
        answer = Answer(request=request)
        try:
            async with asyncio.timeout(self._leaves_after_s(request)):
                await self._exchange(request, answer, sent_at)
        except aiohttp.ClientError as error:
            answer.fail(type(error).__name__)
        except TimeoutError:
            self._leave(request, answer)
        except (ValueError, TypeError, KeyError):
            answer.fail("accepted in words that no house uses")
        return Sent(
            late_s=max(0.0, sent_at - planned_at),
            observation=answer.observation(sent_at - began_at),
        )

    def _leaves_after_s(self, request: Request) -> float:
        if request.hangs_up and request.wanted_s is not None:
            return request.wanted_s
        return _PATIENCE_S

    def _leave(self, request: Request, answer: Answer) -> None:
        if request.hangs_up:
            answer.hang_up()
        else:
            answer.fail(f"no answer within {_PATIENCE_S:.0f} s")

    async def _exchange(self, request: Request, answer: Answer, sent_at: float) -> None:
        posting = self.session.post(
            self.url + request.path, data=request.body, headers=request.headers
        )
        async with posting as response:
            answer.begin(response.headers)
            if response.status >= _FAILURES_FROM:
                answer.refuse(response.status, await _code_of(response))
                return
            if not request.is_detached:
                await self._listen(response, answer, sent_at)
                return
            location = f"{self.url}{request.path}/{(await response.json())['id']}"
        await self._follow(location, request, answer, sent_at)

    async def _follow(
        self, location: str, request: Request, answer: Answer, sent_at: float
    ) -> None:
        """A task goes on without its client, so leaving it must be said."""
        headers = {k: v for k, v in request.headers.items() if k == "authorization"}
        try:
            async with self.session.get(f"{location}/events", headers=headers) as response:
                answer.begin(response.headers)
                if response.status >= _FAILURES_FROM:
                    answer.refuse(response.status, await _code_of(response))
                    return
                await self._listen(response, answer, sent_at)
        except asyncio.CancelledError:
            await asyncio.shield(self._delete(location, headers))
            raise

    async def _delete(self, location: str, headers: dict[str, str]) -> None:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with (
                asyncio.timeout(_FAREWELL_S),
                self.session.delete(location, headers=headers),
            ):
                pass

    async def _listen(
        self, response: aiohttp.ClientResponse, answer: Answer, sent_at: float
    ) -> None:
        events = EventStream()
        async for piece in response.content.iter_any():
            after_s = self.clock.monotonic() - sent_at
            for data in events.feed(piece):
                answer.hear(data, after_s)
        answer.complete(self.clock.monotonic() - sent_at)


async def _code_of(response: aiohttp.ClientResponse) -> str:
    try:
        return failure_code(await response.json(content_type=None))
    except ValueError:
        return "without a readable body"


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.InvalidURL):
        return "expected an address like http://127.0.0.1:8000"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "no such host"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "nothing listens there"
    return str(error) or type(error).__name__
