"""One HTTP request as the server hands it over."""

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from starlette.types import Receive, Scope, Send

from services.ingress.errors import BodyTooSlow, ClientLeft
from shared.domain.errors import BodyTooLarge

# A client that is still sending does not listen; so much is heard out before it is refused.
_HEARD_OUT_BYTES: Final = 16 * 1024 * 1024
_HEARD_OUT_S: Final = 2.0
# A megabyte over a slow line takes less; who is slower holds memory and means no good.
_BODY_S: Final = 30.0
_JSON: Final = (b"content-type", b"application/json")

REQUEST_ID: Final = "cato-request-id"
ACCEPTED: Final = "cato-accepted"
MODEL: Final = "cato-model"
HANG_UP: Final = "cato-hang-up"

Headers = Iterable[tuple[bytes, bytes]]


@dataclass(slots=True, frozen=True)
class Call:
    scope: Scope
    receive: Receive
    send: Send

    @property
    def request_id(self) -> str:
        return str(self.scope[REQUEST_ID])

    @property
    def route(self) -> str:
        return str(self.scope["path"])

    async def read(self, limit_bytes: int) -> bytes:
        """The body. Raises BodyTooLarge, BodyTooSlow, and ClientLeft when it breaks off."""
        announced = _announced_bytes(self.scope["headers"])
        if announced is not None and announced > limit_bytes:
            await self._hear_out(0)
            raise too_large(announced, limit_bytes)
        try:
            async with asyncio.timeout(_BODY_S):
                body, is_whole = await self._read(limit_bytes)
        except TimeoutError as error:
            raise BodyTooSlow(f"the body did not come within {_BODY_S:.0f} s") from error
        if len(body) > limit_bytes:
            if not is_whole:
                await self._hear_out(len(body))
            raise too_large(len(body), limit_bytes)
        return body

    async def _read(self, limit_bytes: int) -> tuple[bytes, bool]:
        """As much as is allowed, and whether that was all."""
        body = bytearray()
        while len(body) <= limit_bytes:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            body += message.get("body", b"")
            if not message.get("more_body", False):
                return bytes(body), True
        return bytes(body), False

    async def until_gone(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            continue

    async def head(self, status: int, headers: Headers) -> None:
        await self.send({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def write(self, content: bytes) -> None:
        await self.send({"type": "http.response.body", "body": content, "more_body": True})

    async def finish(self, content: bytes = b"") -> None:
        await self.send({"type": "http.response.body", "body": content, "more_body": False})

    async def answer_json(self, content: bytes, headers: Headers = (), status: int = 200) -> None:
        length = (b"content-length", b"%d" % len(content))
        await self.head(status, (_JSON, length, *headers))
        await self.finish(content)

    def hang_up(self) -> None:
        """At once, whatever lies unsent; a polite goodbye would wait for who does not read."""
        hang_up = self.scope.get(HANG_UP)
        if callable(hang_up):
            hang_up()

    async def _hear_out(self, heard_bytes: int) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_HEARD_OUT_S):
                while heard_bytes < _HEARD_OUT_BYTES:
                    message = await self.receive()
                    heard_bytes += len(message.get("body", b""))
                    if not message.get("more_body", False):
                        return


def too_large(size_bytes: int, limit_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body has {size_bytes} bytes; send at most {limit_bytes}")


def _announced_bytes(headers: Headers) -> int | None:
    for name, value in headers:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return None
