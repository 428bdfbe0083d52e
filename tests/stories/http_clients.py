"""Clients that read, dawdle and leave as a story wants it."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue
from starlette.types import ASGIApp, Message

from services.ingress.call import HANG_UP


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request as its client sees it; `leave` is the client's own choice."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes = b""
    is_complete: bool = False
    has_left: asyncio.Event = field(default_factory=asyncio.Event)
    reads: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None

    def leave(self) -> None:
        self.has_left.set()
        self.reads.set()

    def json(self) -> dict[str, JsonValue]:
        told = json.loads(self.raw)
        assert isinstance(told, dict)
        return told

    def error(self) -> dict[str, JsonValue]:
        error = self.json()["error"]
        assert isinstance(error, dict)
        return error

    def events(self) -> list[str]:
        """The data of every server-sent event."""
        blocks = self.raw.decode().split("\n\n")
        return [block.partition("data: ")[2] for block in blocks if "data: " in block]

    def text(self) -> str:
        texts = (json.loads(event) for event in self.events() if event != "[DONE]")
        return "".join(each["choices"][0]["text"] for each in texts if each.get("choices"))

    async def done(self) -> "Exchange":
        assert self.task is not None
        await self.task
        return self


@dataclass(slots=True)
class Client:
    app: ASGIApp

    async def post(self, path: str, body: object, **headers: str) -> Exchange:
        return await self.start("POST", path, body, **headers).done()

    async def get(self, path: str, **headers: str) -> Exchange:
        return await self.start("GET", path, None, **headers).done()

    def start(self, method: str, path: str, body: object = None, **headers: str) -> Exchange:
        raw = body if isinstance(body, bytes) else b"" if body is None else _dumps(body)
        return self.send(method, path, [raw], headers)

    def dawdle(
        self, method: str, path: str, first: bytes, headers: Mapping[str, str] | None = None
    ) -> Exchange:
        """Send the first part of a body, and then nothing."""
        return self.send(method, path, [first, None], headers or {})

    def send(
        self, method: str, path: str, parts: Iterable[bytes | None], headers: Mapping[str, str]
    ) -> Exchange:
        exchange = Exchange()
        exchange.reads.set()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8000),
            "headers": [
                (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
            ],
            HANG_UP: exchange.leave,
        }
        receive, send = _receiver(exchange, parts), _sender(exchange)
        exchange.task = asyncio.ensure_future(self._call(scope, receive, send))
        return exchange

    async def _call(
        self,
        scope: dict[str, object],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        await self.app(scope, receive, send)


def _receiver(
    exchange: Exchange, parts: Iterable[bytes | None]
) -> Callable[[], Awaitable[Message]]:
    waiting = list(parts)

    async def receive() -> Message:
        if waiting and (part := waiting.pop(0)) is not None:
            return {"type": "http.request", "body": part, "more_body": bool(waiting)}
        await exchange.has_left.wait()
        return {"type": "http.disconnect"}

    return receive


def _sender(exchange: Exchange) -> Callable[[Message], Awaitable[None]]:
    async def send(message: Message) -> None:
        await exchange.reads.wait()
        if exchange.has_left.is_set():
            return
        if message["type"] == "http.response.start":
            exchange.status = message["status"]
            exchange.headers = {n.decode(): v.decode() for n, v in message["headers"]}
        else:
            exchange.raw += message.get("body", b"")
            exchange.is_complete = not message.get("more_body", False)

    return send


def _dumps(body: object) -> bytes:
    return json.dumps(body).encode()
