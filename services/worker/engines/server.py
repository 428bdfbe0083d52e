"""A minimal OpenAI-compatible server over any engine: the other end for the `openai` engine.

`python -m services.worker.engines.server --engine simulated --profile zero --port 8111`
It refuses `suffix` as vLLM does, and stops generating when the client leaves.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Final

import uvicorn
from starlette.types import Receive, Scope, Send

from services.worker.engine import Engine, EngineError, EngineRefused, Job, JobId, Piece
from services.worker.engines import ENGINES
from services.worker.engines.server_wire import BadRequest, Reply, Request, Route, error_body
from services.worker.engines.settings import EngineSettings
from shared.adapters.clock import SystemClock
from shared.adapters.profiles import PROFILES
from shared.domain.clock import Clock
from shared.domain.errors import SettingsError
from shared.domain.task import Prediction
from shared.messages.logprobs import Telling

_ROUTES: Final[dict[str, Route]] = {
    "/v1/completions": "completions",
    "/v1/chat/completions": "chat",
}
_JSON: Final = [(b"content-type", b"application/json")]
_EVENTS: Final = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]


@dataclass(slots=True, kw_only=True)
class EngineServer:
    """Bare ASGI: what is measured against it should be the engine, not the server."""

    engine: Engine
    clock: Clock
    model: str
    numbers: "count[int]" = field(default_factory=count)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        route = _ROUTES.get(scope["path"])
        if scope["path"] in ("/v1/models", "/health"):
            await _answer(send, 200, self._models())
        elif route is None or scope["method"] != "POST":
            await _answer(send, 404, error_body("no such route", status=404))
        else:
            await self._generate(route, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await self.engine.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.engine.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _generate(self, route: Route, receive: Receive, send: Send) -> None:
        try:
            request = Request.read(route, await _whole_body(receive))
        except BadRequest as error:
            said = error_body(error.message, status=400, param=error.param)
            await _answer(send, 400, said)
            return
        job = self._job(route, request)
        reply = Reply(
            id=job.id,
            route=route,
            model=self.model,
            created=int(self.clock.now()),
            telling=Telling(route),
        )
        async with (
            self._aborted_when_left(job.id, receive),
            aclosing(self.engine.generate(job)) as pieces,
        ):
            if request.stream:
                is_counted = request.stream_options.include_usage
                await _stream(pieces, reply, send, is_counted=is_counted)
            else:
                await _collect(pieces, reply, send)

    @asynccontextmanager
    async def _aborted_when_left(
        self, job_id: JobId, receive: Receive
    ) -> AsyncGenerator[None, None]:
        leaving = asyncio.create_task(self._abort_on_leaving(job_id, receive))
        try:
            yield
        finally:
            leaving.cancel()

    async def _abort_on_leaving(self, job_id: JobId, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        await self.engine.abort(job_id)

    def _job(self, route: Route, request: Request) -> Job:
        body = request.body(route)
        return Job(
            id=JobId(f"cmpl-{next(self.numbers)}"),
            kind="completion" if route == "completions" else "chat",
            body=body,
            prediction=Prediction(
                prompt_tokens=1,
                output_tokens_p50=body.max_tokens,
                output_tokens_p90=body.max_tokens,
            ),
            priority=request.priority,
        )

    def _models(self) -> bytes:
        model = {"id": self.model, "object": "model", "created": 0, "owned_by": "cato"}
        return json.dumps({"object": "list", "data": [model]}).encode()


async def _stream(
    pieces: AsyncGenerator[Piece, None], reply: Reply, send: Send, *, is_counted: bool
) -> None:
    """The head waits for the first piece, so that a refusal still has a status of its own."""
    is_begun = False
    try:
        async for piece in pieces:
            if not is_begun:
                is_begun = True
                await send({"type": "http.response.start", "status": 200, "headers": _EVENTS})
            event = reply.event(piece)
            if piece.usage is not None and is_counted:
                event += reply.usage_event(piece.usage)
            if piece.finish_reason is None:
                await _send_part(send, event)
            else:
                await _send_part(send, event + b"data: [DONE]\n\n", is_last=True)
    except EngineError as error:
        status, said = _refusal(error)
        if is_begun:
            await _send_part(send, b"data: " + said + b"\n\ndata: [DONE]\n\n", is_last=True)
        else:
            await _answer(send, status, said)


async def _collect(pieces: AsyncGenerator[Piece, None], reply: Reply, send: Send) -> None:
    try:
        collected = [piece async for piece in pieces]
    except EngineError as error:
        await _answer(send, *_refusal(error))
        return
    if collected:
        await _answer(send, 200, reply.whole(collected))


async def _whole_body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def _answer(send: Send, status: int, content: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": _JSON})
    await _send_part(send, content, is_last=True)


async def _send_part(send: Send, content: bytes, *, is_last: bool = False) -> None:
    await send({"type": "http.response.body", "body": content, "more_body": not is_last})


def _refusal(error: EngineError) -> tuple[int, bytes]:
    status = error.status if isinstance(error, EngineRefused) else 500
    return status, error_body(str(error), status=status)


def _settings(arguments: argparse.Namespace) -> EngineSettings:
    os.environ["CATO_ENGINE"], os.environ["CATO_PROFILE"] = arguments.engine, arguments.profile
    return EngineSettings.load()


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.worker.engines.server")
    parser.add_argument("--engine", choices=tuple(ENGINES), default="simulated")
    parser.add_argument("--profile", default="zero", help=f"{', '.join(PROFILES)}, or a JSON file")
    parser.add_argument("--model", default="cato-demo")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8111)
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    arguments = _arguments(words)
    try:
        engine = ENGINES[arguments.engine](_settings(arguments), SystemClock())
    except SettingsError as error:
        sys.stderr.write(f"cannot start: {error}\n")
        return 2
    app = EngineServer(engine=engine, clock=SystemClock(), model=arguments.model)
    uvicorn.run(
        app,
        host=arguments.host,
        port=arguments.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_level="warning",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
