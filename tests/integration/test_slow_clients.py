"""A connection belongs to whoever asks for something, and to nobody for long who does not."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from starlette.responses import PlainTextResponse

from services.ingress.serving import listen, server_of
from tests.eventually import WITHIN_S


@contextlib.asynccontextmanager
async def a_door() -> AsyncIterator[int]:
    """Its port; it waits for one second only."""
    server = server_of(PlainTextResponse("heard"))
    server.config.timeout_keep_alive = 1
    with listen("127.0.0.1", 0) as listening:
        answering = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            await answering


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nhost: here\r\n"])
async def test_who_never_says_what_it_asks_for_is_let_go(said: bytes) -> None:
    async with a_door() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)

        async with asyncio.timeout(WITHIN_S):
            assert await reader.read() == b""

        writer.close()


async def test_who_has_asked_may_ask_again_on_the_same_connection() -> None:
    async with a_door() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            await asyncio.sleep(0.6)
            writer.write(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")
            async with asyncio.timeout(WITHIN_S):
                assert await reader.readuntil(b"heard")

        writer.close()
