"""The web server runs inside the life of the ingress: it starts last and stops first."""

import asyncio
import contextlib
import socket
from collections.abc import Coroutine, Iterator, Sequence
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.ingress.headers import request_id
from services.ingress.ingress import Ingress
from services.ingress.refusals import body_of
from shared.domain.errors import InvalidRequest, SettingsError

_BACKLOG: Final = 2048
_GOODBYE_S: Final = 2
_SILENCE_S: Final = 5
# Beyond what any client sends, and little enough to hold for each connection.
_HEAD_BYTES: Final = 64 * 1024


class Server(uvicorn.Server):
    """Signals are for the process, not for the server in it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Protocol(HttpToolsProtocol):
    """What is no HTTP at all is refused in the shape of the API too.

    Who does not say within `timeout_keep_alive` what it asks for holds a connection for nothing.
    """

    head_bytes = 0
    is_in_head = False
    giving_up: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._has_head()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self.head_bytes, self.is_in_head = 0, True
        self._await_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self.is_in_head = False
        self._has_head()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.head_bytes += len(data)
        if self.is_in_head and self.head_bytes > _HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The headers do not end.")

    def _await_head(self) -> None:
        self._has_head()
        self.giving_up = self.loop.call_later(self.timeout_keep_alive, self.transport.close)

    def _has_head(self) -> None:
        if self.giving_up is not None:
            self.giving_up.cancel()

    def send_400_response(self, msg: str) -> None:
        content = body_of(
            InvalidRequest(f"{msg} Send HTTP/1.1 with at most {_HEAD_BYTES} bytes of headers.")
        )
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\nx-request-id: %s\r\nconnection: close\r\n\r\n%s"
            % (len(content), request_id(()).encode(), content)
        )
        self.transport.close()


def listen(host: str, port: int) -> socket.socket:
    """Raises SettingsError, which names both settings."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise SettingsError(
            f"CATO_HOST={host} CATO_PORT={port} cannot be listened on: {error.strerror or error}"
        ) from error


def server_of(app: ASGIApp) -> Server:
    return Server(
        uvicorn.Config(
            app,
            http=Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_SILENCE_S,
            timeout_graceful_shutdown=_GOODBYE_S,
        )
    )


async def serve(
    ingress: Ingress,
    server: Server,
    listening: socket.socket,
    background: Sequence[Coroutine[None, None, None]],
    *,
    drain_s: float,
) -> None:
    """Until cancelled, which drains first; whatever breaks in the background ends it."""
    working = [asyncio.create_task(each) for each in background]
    answering = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        await asyncio.wait({*working, answering}, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        await ingress.drain(drain_s)
        raise
    finally:
        server.should_exit = True
        await asyncio.wait({answering})
        broken = [task.exception() for task in working if task.done() and not task.cancelled()]
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
    for error in broken:
        if error is not None:
            raise error
    answering.result()
