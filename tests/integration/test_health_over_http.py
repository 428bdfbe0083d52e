"""The health port speaks HTTP to whoever comes, and outlives whoever only says he would."""

import asyncio
import socket

import aiohttp

from shared.runtime.health import serve_health


def a_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


async def test_readiness_follows_the_service() -> None:
    ready = [False, True]
    async with (
        serve_health("127.0.0.1", a_free_port(), lambda: ready.pop(0)) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client,
        client.get("/readyz") as before,
        client.get("/readyz") as after,
    ):
        assert [before.status, after.status] == [503, 200]


async def test_a_caller_that_says_nothing_disturbs_nobody() -> None:
    async with serve_health("127.0.0.1", a_free_port(), lambda: True) as port:
        assert port is not None
        _, silent = await asyncio.open_connection("127.0.0.1", port)
        _, endless = await asyncio.open_connection("127.0.0.1", port)
        endless.write(b"x" * 100_000)

        async with (
            aiohttp.ClientSession() as client,
            client.get(f"http://127.0.0.1:{port}/healthz") as told,
        ):
            assert await told.text() == "alive\n"

        for writer in (silent, endless):
            writer.close()


async def test_port_0_serves_nothing() -> None:
    async with serve_health("127.0.0.1", 0, lambda: True) as port:
        assert port is None
