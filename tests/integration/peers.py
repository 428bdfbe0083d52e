"""Servers that answer as a test likes, and the engine that asks them."""

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from aiohttp import web

from services.worker.engines.openai import OpenAIEngine
from services.worker.engines.openai_server import Server
from shared.adapters.clock import SystemClock
from tests.builders import REFERENCE
from tests.contract.engine_promises import CONTEXT_TOKENS

PROFILE = replace(REFERENCE, context_tokens=CONTEXT_TOKENS)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def an_engine(
    url: str,
    *,
    start_s: float = 10.0,
    silence_s: float = 30.0,
    connect_s: float = 5.0,
    ca_file: Path | None = None,
    is_warmed_up: bool = False,
) -> AsyncIterator[OpenAIEngine]:
    server = Server(
        url=url,
        model="cato-demo",
        ca_file=ca_file,
        is_warmed_up=is_warmed_up,
        start_s=start_s,
        connect_s=connect_s,
        first_byte_s=silence_s,
        silence_s=silence_s,
    )
    engine = OpenAIEngine(server=server, profile=PROFILE, clock=SystemClock())
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


@asynccontextmanager
async def a_peer(
    answer: Handler,
    *,
    models: str = '{"data": []}',
    metrics: str | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[str]:
    """A server that answers completions as the test likes."""

    async def list_models(_: web.Request) -> web.StreamResponse:
        return web.Response(text=models, content_type="application/json")

    async def measure(_: web.Request) -> web.StreamResponse:
        return web.Response(text=metrics)

    app = web.Application()
    app.router.add_get("/v1/models", list_models)
    app.router.add_post("/v1/completions", answer)
    app.router.add_post("/v1/chat/completions", answer)
    if metrics is not None:
        app.router.add_get("/metrics", measure)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    scheme = "http" if tls is None else "https"
    try:
        yield f"{scheme}://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


async def say(request: web.Request, *events: object) -> web.StreamResponse:
    response = await begin(request)
    for event in events:
        text = event if isinstance(event, str) else json.dumps(event)
        await response.write(f"data: {text}\n\n".encode())
    return response


async def begin(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    return response


def a_chunk(text: str, finish_reason: str | None = None) -> dict[str, object]:
    return {"choices": [{"index": 0, "text": text, "finish_reason": finish_reason}]}
