"""The small engine server speaks the OpenAI API as clients and vLLM's users expect it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import openai
import pytest
import uvicorn

from services.worker.engines.server import EngineServer
from services.worker.engines.simulated import SimulatedEngine
from shared.adapters.clock import SystemClock
from tests.builders import REFERENCE
from tests.eventually import eventually


@dataclass
class Served:
    engine: SimulatedEngine
    url: str
    client: openai.AsyncOpenAI


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    engine = SimulatedEngine(profile=REFERENCE, clock=SystemClock())
    app = EngineServer(engine=engine, clock=SystemClock(), model="cato-demo")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        server = uvicorn.Server(uvicorn.Config(app, lifespan="on", ws="none", log_config=None))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
            yield Served(engine=engine, url=url, client=client)
        server.should_exit = True
        await serving


async def test_a_whole_completion_has_text_usage_and_end(served: Served) -> None:
    answer = await served.client.completions.create(
        model="cato-demo", prompt="def f():", max_tokens=9, extra_body={"ignore_eos": True}
    )

    assert "synthetic_" in answer.choices[0].text
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert (answer.usage.completion_tokens, answer.usage.total_tokens) == (9, 11)


async def test_a_chat_streams_its_text_and_then_its_usage(served: Served) -> None:
    stream = await served.client.chat.completions.create(
        model="cato-demo",
        messages=[{"role": "user", "content": "hello"}],
        max_tokens=6,
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"ignore_eos": True},
    )

    chunks = [chunk async for chunk in stream]

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.startswith("synthetic_")
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 6


async def test_its_model_is_listed(served: Served) -> None:
    assert [model.id async for model in served.client.models.list()] == ["cato-demo"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"prompt": "a", "suffix": "b"}, 400, "suffix is only supported"),
        ({"prompt": "a", "max_tokens": 0}, 400, "max_tokens"),
        ({"prompt": ["a", "b"]}, 400, "prompt"),
        ({}, 400, "prompt"),
        ([], 400, "object"),
        ({"prompt": "x" * 100_000}, 400, "context"),
    ],
)
async def test_a_bad_request_is_answered_with_what_is_wrong(
    served: Served, body: object, status: int, said: str
) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{served.url}/completions", json=body) as response,
    ):
        assert response.status == status
        assert said in await response.text()


async def test_a_client_that_leaves_stops_the_engine(served: Served) -> None:
    def runs() -> int:
        return served.engine.load().running

    body = {"prompt": "a", "max_tokens": 4000, "stream": True, "ignore_eos": True}
    async with aiohttp.ClientSession() as session:
        response = await session.post(f"{served.url}/completions", json=body)
        await response.content.readany()
        assert runs() == 1
        response.close()

        await eventually(lambda: runs() == 0, within_s=0.2, saying="the engine is free")
