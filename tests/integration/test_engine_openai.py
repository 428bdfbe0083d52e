"""The openai engine keeps an engine's promises against a real HTTP server, and bears bad ones."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from aiohttp import web

from deploy.local.ports import chosen_port
from deploy.models.architecture import MODEL
from services.worker.engine import Engine, EngineRefused, EngineUnavailable
from services.worker.engines.embedded import EmbeddedEngine
from services.worker.engines.openai import OpenAIEngine
from services.worker.engines.server import EngineServer
from services.worker.engines.settings import EngineSettings
from services.worker.engines.simulated import SimulatedEngine
from shared.adapters.clock import SystemClock
from tests.contract.engine_promises import (
    EnginePromises,
    Mortal,
    MortalPromises,
    a_job,
    pieces_of,
    text_of,
    until_idle,
)
from tests.contract.logprob_promises import LogprobPromises, weighed
from tests.eventually import WITHIN_S
from tests.integration.peers import PROFILE, a_chunk, a_peer, an_engine, say
from tests.integration.test_worker_process import a_process


@asynccontextmanager
async def a_server(engine: Engine | None = None) -> AsyncIterator[str]:
    """This house's own engine server, on a free port."""
    engine = engine or SimulatedEngine(profile=PROFILE, clock=SystemClock())
    app = EngineServer(engine=engine, clock=SystemClock(), model="cato-demo")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, lifespan="on", ws="none", log_config=None))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        finally:
            server.should_exit = True
            await serving


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    async with a_server() as url, an_engine(url) as engine:
        yield engine


class TestOpenAIEngine(EnginePromises):
    async def test_a_suffix_that_the_server_refuses_is_rendered_here(
        self, engine: OpenAIEngine
    ) -> None:
        first = await pieces_of(engine, a_job(suffix="    return c"))
        second = await pieces_of(engine, a_job("task-2@0.1", suffix="    return c"))

        assert text_of(first) == text_of(second)
        assert engine.manners.refused == {"suffix"}

    async def test_what_the_server_cannot_tell_is_refused_in_its_words(
        self, engine: OpenAIEngine
    ) -> None:
        with pytest.raises(EngineRefused, match="logprobs: the simulated engine") as refused:
            await pieces_of(engine, weighed(a_job()))

        assert refused.value.is_permanent


class TestOpenAIEngineOfAModel(LogprobPromises):
    @pytest.fixture
    async def engine(self) -> AsyncIterator[Engine]:
        settings = EngineSettings(engine_model=str(MODEL), profile="embedded")
        model = EmbeddedEngine.of(settings, SystemClock())
        async with a_server(model) as url, an_engine(url) as engine:
            yield engine


@pytest.fixture
async def mortal() -> AsyncIterator[Mortal]:
    port = chosen_port(0, setting="port")
    words = ("-m", "services.worker.engines.server", "--profile", "reference", "--port", str(port))
    async with (
        a_process(*words) as server,
        # A process that has just started may take a moment for its first token.
        an_engine(f"http://127.0.0.1:{port}/v1", start_s=WITHIN_S, silence_s=2.0) as engine,
    ):
        yield Mortal(engine, server.pid)


class TestOpenAIEngineWhoseServerIsMortal(MortalPromises):
    pass


async def test_no_server_at_the_start_is_said_with_its_address() -> None:
    with pytest.raises(EngineUnavailable, match=r"no server answers at http://127.0.0.1:9/v1"):
        async with an_engine("http://127.0.0.1:9/v1", start_s=0.0):
            pass


@pytest.mark.parametrize(
    ("events", "said"),
    [
        (["{not json", "[DONE]"], "malformed event"),
        ([{"choices": "none"}], "malformed event"),
        ([a_chunk("a"), {"error": {"message": "engine is dead", "code": 500}}], "engine is dead"),
        ([a_chunk("a"), {"error": "out of memory"}, "[DONE]"], "out of memory"),
        ([a_chunk("a")], "before the answer's end"),
        ([a_chunk("a"), "[DONE]"], "before the answer's end"),
        ([], "before the answer's end"),
    ],
)
async def test_a_stream_that_goes_wrong_is_an_error_that_says_how(
    events: list[object], said: str
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return await say(request, *events)

    async with a_peer(answer) as url, an_engine(url) as engine:
        with pytest.raises(EngineUnavailable, match=said):
            await pieces_of(engine, a_job())
        await until_idle(engine)


@pytest.mark.parametrize(
    ("status", "is_permanent"), [(400, True), (404, True), (422, True), (429, False), (401, False)]
)
async def test_a_refusal_keeps_the_servers_status_and_words(
    status: int, is_permanent: bool
) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": "no, because"}}, status=status)

    async with a_peer(answer) as url, an_engine(url) as engine:
        with pytest.raises(EngineRefused, match="no, because") as refused:
            await pieces_of(engine, a_job())

    assert (refused.value.status, refused.value.is_permanent) == (status, is_permanent)


async def test_a_server_too_busy_once_is_asked_again_before_the_first_token() -> None:
    statuses = iter((503, 200))

    async def answer(request: web.Request) -> web.StreamResponse:
        if (status := next(statuses)) != 200:
            return web.Response(status=status, text="busy")
        return await say(request, a_chunk("a", "stop"), "[DONE]")

    async with a_peer(answer) as url, an_engine(url) as engine:
        assert text_of(await pieces_of(engine, a_job())) == "a"


async def test_nothing_is_asked_again_after_the_first_token() -> None:
    asked: list[int] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(1)
        response = await say(request, a_chunk("a"))
        assert request.transport is not None
        request.transport.abort()
        return response

    async with a_peer(answer) as url, an_engine(url) as engine:
        with pytest.raises(EngineUnavailable):
            await pieces_of(engine, a_job())

    assert asked == [1]


@pytest.mark.parametrize("spoken", [[], [a_chunk("a")]])
async def test_a_server_that_falls_silent_is_given_up(spoken: list[object]) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = await say(request, *spoken)
        await asyncio.sleep(5)
        return response

    async with a_peer(answer) as url, an_engine(url, silence_s=0.2) as engine:
        with pytest.raises(EngineUnavailable, match=r"silent for 0.2 s"):
            await pieces_of(engine, a_job())
        await until_idle(engine)


async def test_fields_a_server_does_not_know_are_left_out_from_then_on() -> None:
    asked: list[dict[str, object]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        payload = await request.json()
        asked.append(payload)
        for name in ("priority", "stream_options"):
            if name in payload:
                error = {"message": f"extra field not permitted: {name}"}
                return web.json_response({"error": error}, status=400)
        return await say(request, a_chunk("a", "stop"), "[DONE]")

    async with a_peer(answer) as url, an_engine(url) as engine:
        await pieces_of(engine, a_job(priority=3))
        await pieces_of(engine, a_job("task-2@0.1", priority=3))

    assert [sorted({"priority", "stream_options"} & payload.keys()) for payload in asked] == [
        ["priority", "stream_options"],
        ["stream_options"],
        [],
        [],
    ]


@pytest.mark.parametrize("is_chat", [False, True])
async def test_a_server_that_keeps_quiet_about_log_probabilities_is_no_answer_to_who_asks(
    is_chat: bool,
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        choice = {"delta": {"content": "a"}} if is_chat else {"text": "a", "logprobs": None}
        end = {"index": 0, "finish_reason": "stop"}
        return await say(request, {"choices": [{**choice, "index": 0}]}, {"choices": [end]})

    async with a_peer(answer) as url, an_engine(url) as engine:
        with pytest.raises(EngineRefused, match="logprobs: the server tells none") as refused:
            await pieces_of(engine, weighed(a_job(is_chat=is_chat)))
        assert text_of(await pieces_of(engine, a_job(is_chat=is_chat))) == "a"

    assert (refused.value.status, refused.value.is_permanent) == (400, True)


async def test_tool_calls_pass_through_and_end_as_such() -> None:
    call = {"index": 0, "id": "c1", "function": {"name": "f", "arguments": "{}"}}

    async def answer(request: web.Request) -> web.StreamResponse:
        delta = {"role": "assistant", "content": None, "tool_calls": [call]}
        chunk = {"choices": [{"index": 0, "delta": delta, "finish_reason": "tool_calls"}]}
        return await say(request, chunk, "[DONE]")

    async with a_peer(answer) as url, an_engine(url) as engine:
        first, last = await pieces_of(engine, a_job())

    assert json.loads(first.delta or "") == {"tool_calls": [call]}
    assert last.finish_reason == "tool_calls"
