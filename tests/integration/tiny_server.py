"""A server in this process that answers as a story wants it, and requests to put to it."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from loadgen.drivers.asking import Manner, Request
from loadgen.drivers.client import Client
from loadgen.drivers.open_loop import Played, play
from loadgen.drivers.progress import Tally
from loadgen.workloads.arrival import Arrival
from loadgen.workloads.corpus import Prompt
from loadgen.workloads.mixes import ROUTES, Route
from tests.builders import REFERENCE

MANNER = Manner(model="tiny", alone=REFERENCE)


@dataclass(slots=True)
class TinyServer:
    """Answers `tokens` tokens `pace_s` apart, unless the model's answer is set to a failure.

    Nobody is answered before `answers_from` have asked.
    """

    tokens: int = 3
    pace_s: float = 0.0
    first_s: float = 0.0
    answers_from: int = 1
    status: int = 200
    code: str = "overloaded"
    breaks_with: str | None = None
    is_cut_off: bool = False
    accepts_with: str = '{"id": "task-1"}'
    hears_farewells: bool = True
    asked: list[dict[str, object]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    hung_up: Counter[str] = field(default_factory=Counter)
    enough: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        for route in ("/v1/completions", "/v1/chat/completions"):
            app.router.add_post(route, self._answer)
        app.router.add_post("/v1/tasks", self._accept)
        app.router.add_get("/v1/tasks/task-1/events", self._answer)
        app.router.add_delete("/v1/tasks/task-1", self._delete)
        runner = web.AppRunner(app, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "tiny"}]}, status=self.status)

    async def _accept(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        return web.json_response(text=self.accepts_with, status=202)

    async def _delete(self, _: web.Request) -> web.Response:
        self.hung_up["deleted"] += 1
        if not self.hears_farewells:
            await asyncio.Event().wait()
        return web.Response()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._stream(request)
        except (asyncio.CancelledError, ConnectionResetError):
            self.hung_up[request.path] += 1
            raise

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        if request.method == "POST":
            self.asked.append(await request.json())
        if len(self.asked) >= self.answers_from:
            self.enough.set()
        await self.enough.wait()
        await asyncio.sleep(self.first_s)
        if self.status != 200:
            return web.json_response({"error": {"code": self.code}}, status=self.status)
        headers = {"x-cato-task": "chat", "x-cato-queue-ms": "12.5", "x-cato-worker": "w/1"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        for _ in range(self.tokens):
            await response.write(b': keep-alive\n\ndata: {"choices":[{"text":"x"}]}\n\n')
            await asyncio.sleep(self.pace_s)
        if self.breaks_with:
            error = json.dumps({"error": {"code": self.breaks_with}})
            await response.write(f"data: {error}\n\n".encode())
        if self.is_cut_off:
            return response
        await response.write(b'data: {"choices":[],"usage":{"completion_tokens":3}}\n\n')
        await response.write(b"data: [DONE]\n\n")
        return response


def a_request(
    kind: str = "completion",
    *,
    at_s: float = 0.0,
    cancel_at_s: float | None = None,
    superseded: bool = False,
    route: Route | None = None,
    manner: Manner = MANNER,
) -> Request:
    arrival = Arrival(
        at_s=at_s,
        kind=kind,
        route=route or ROUTES[kind],
        prompt_tokens=10,
        output_tokens=3,
        tenant="tenant-1",
        cut=1,
        seed=1,
        session="editor-1",
        cancel_at_s=cancel_at_s,
        superseded=superseded,
    )
    return manner.ask(arrival, Prompt(text="def f(", suffix="\n"))


async def played(url: str, requests: Sequence[Request]) -> Played:
    async with Client.open(url) as client:
        return await play(client, requests, Tally(total=len(requests)))
