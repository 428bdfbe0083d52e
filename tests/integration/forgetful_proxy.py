"""A network that carries a command to Redis, and then loses what Redis answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class ForgetfulProxy:
    """Passes bytes on; while `answers_to_lose` is above zero an answer costs its connection."""

    def __init__(self, port: int) -> None:
        self.answers_to_lose = 0
        self._port = port

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        redis_reader, redis_writer = await asyncio.open_connection("127.0.0.1", self._port)
        upstream = asyncio.create_task(self._pass(reader, redis_writer))
        try:
            await self._answer(redis_reader, writer)
        finally:
            upstream.cancel()
            for end in (writer, redis_writer):
                end.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65_536):
            if self.answers_to_lose > 0:
                self.answers_to_lose -= 1
                return
            writer.write(chunk)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65_536):
            writer.write(chunk)
        writer.close()


@asynccontextmanager
async def forgetful_proxy(port: int) -> AsyncIterator[tuple[ForgetfulProxy, str]]:
    """The proxy and the URL under which Redis is reached through it."""
    proxy = ForgetfulProxy(port)
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as server:
        host, bound = server.sockets[0].getsockname()
        yield proxy, f"redis://{host}:{bound}/0"
