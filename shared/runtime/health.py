"""Somebody outside asks: do you live, can you work, what have you measured?"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final, NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

_PATIENCE_S: Final = 5.0
_PLAIN: Final = "text/plain; charset=utf-8"


class Answer(NamedTuple):
    status: HTTPStatus
    content: bytes
    content_type: str = _PLAIN

    def encode(self) -> bytes:
        head = (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}\r\n"
            f"content-type: {self.content_type}\r\n"
            f"content-length: {len(self.content)}\r\n"
            "connection: close\r\n\r\n"
        )
        return head.encode("ascii") + self.content


@asynccontextmanager
async def serve_health(
    host: str, port: int, is_ready: Callable[[], bool]
) -> AsyncIterator[int | None]:
    """Answer /healthz, /readyz and /metrics; port 0 serves nothing. Yields the port.

    Raises OSError where the port is taken.
    """
    if port == 0:
        yield None
        return

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _meet(reader, writer, is_ready)

    server = await asyncio.start_server(meet, host, port, limit=8192)
    try:
        yield port
    finally:
        # Without waiting: who still holds a connection must not hold the shutdown up.
        server.close()


def metrics_page() -> tuple[bytes, str]:
    """All that this process has measured, with its content type."""
    return generate_latest(), CONTENT_TYPE_LATEST


def answer(request_line: str, is_ready: Callable[[], bool]) -> Answer:
    match request_line.split(" "):
        case ["GET", target, _]:
            return _answer_path(target.partition("?")[0], is_ready)
        case [_, _, _]:
            return Answer(HTTPStatus.METHOD_NOT_ALLOWED, b"only GET\n")
        case _:
            return Answer(HTTPStatus.BAD_REQUEST, b"not HTTP\n")


def _answer_path(path: str, is_ready: Callable[[], bool]) -> Answer:
    match path:
        case "/healthz":
            return Answer(HTTPStatus.OK, b"alive\n")
        case "/readyz" if is_ready():
            return Answer(HTTPStatus.OK, b"ready\n")
        case "/readyz":
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, b"not ready\n")
        case "/metrics":
            return Answer(HTTPStatus.OK, *metrics_page())
        case _:
            return Answer(HTTPStatus.NOT_FOUND, b"try /healthz, /readyz or /metrics\n")


async def _meet(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_ready: Callable[[], bool]
) -> None:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            head = await reader.readuntil(b"\r\n\r\n")
            line = head.partition(b"\r\n")[0].decode("latin-1")
            writer.write(answer(line, is_ready).encode())
            await writer.drain()
    except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        # Whoever asked went away, or never asked; it concerns nobody else.
        return
    finally:
        writer.close()
