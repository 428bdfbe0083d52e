"""The unmodified OpenAI client, and plain HTTP, against a running house."""

import json
import uuid
from collections.abc import AsyncIterator

import aiohttp
import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI

from deploy.local.house import House

pytestmark = pytest.mark.asyncio(loop_scope="session")

MODEL = "cato-demo"
# The synthetic engine stops as early as people's completions do, unless it is told not to.
ENDLESS = {"ignore_eos": True}


@pytest_asyncio.fixture(loop_scope="session")
async def client(house: House) -> AsyncIterator[AsyncOpenAI]:
    """Patient, so that a busy machine breaks no promise in the middle of a test about shapes."""
    patient = {"x-slo-ttft-ms": "10000"}
    base_url = f"{house.base_url}/v1"
    async with AsyncOpenAI(base_url=base_url, api_key="none", default_headers=patient) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def http(house: House) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(base_url=house.base_url) as http:
        yield http


async def test_a_completion_is_answered(client: AsyncOpenAI) -> None:
    answer = await client.completions.create(model=MODEL, prompt="def add(a, b):", max_tokens=8)

    assert answer.object == "text_completion"
    assert answer.choices[0].text
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.usage is not None
    assert 0 < answer.usage.completion_tokens <= 8


async def test_the_middle_is_filled_in(client: AsyncOpenAI) -> None:
    answer = await client.completions.create(
        model=MODEL, prompt="def add(a, b):\n    ", suffix="\n\nprint(add(1, 2))", max_tokens=8
    )

    assert answer.choices[0].text


async def test_a_completion_is_streamed(client: AsyncOpenAI) -> None:
    stream = await client.completions.create(
        model=MODEL,
        prompt="def add(a, b):",
        max_tokens=8,
        stream=True,
        stream_options={"include_usage": True},
    )

    chunks = [chunk async for chunk in stream]

    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
    assert chunks[-2].choices[0].finish_reason in ("stop", "length")
    assert chunks[-1].usage is not None
    assert len({chunk.id for chunk in chunks}) == 1


async def test_a_chat_is_answered(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "What is recursion?"}], max_tokens=8
    )

    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content


async def test_a_chat_is_streamed(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "What is recursion?"}],
        max_completion_tokens=8,
        stream=True,
    )

    chunks = [chunk async for chunk in stream]

    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason in ("stop", "length")


async def test_models_are_listed(client: AsyncOpenAI) -> None:
    assert MODEL in [model.id async for model in client.models.list()]
    assert (await client.models.retrieve(MODEL)).id == MODEL


async def test_headers_tell_kind_and_class(client: AsyncOpenAI) -> None:
    answer = await client.completions.with_raw_response.create(
        model=MODEL,
        prompt="def f():",
        max_tokens=4,
        extra_headers={"x-cato-task": "generation", "x-request-id": "mine"},
    )

    assert answer.headers["x-request-id"] == "mine"
    assert answer.headers["x-cato-task"] == "generation"
    assert answer.headers["x-cato-class"] == "ttft"


@pytest.mark.parametrize("stream", [False, True])
async def test_errors_are_those_of_the_client(client: AsyncOpenAI, stream: bool) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        await client.completions.create(model="gpt-9", prompt="x", stream=stream)
    with pytest.raises(openai.BadRequestError) as several:
        await client.completions.create(model=MODEL, prompt="x", n=2, stream=stream)

    assert unknown.value.code == "model_not_found"
    assert MODEL in str(unknown.value)
    assert several.value.param == "n"


async def test_how_likely_made_up_tokens_were_is_a_refusal_by_name(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="logprobs: the simulated engine"):
        await client.completions.create(model=MODEL, prompt="def f():", logprobs=1)
    with pytest.raises(openai.BadRequestError, match="logprobs: the simulated engine"):
        await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "x"}], logprobs=True, stream=True
        )


async def test_what_can_only_come_too_late_is_not_asked_for_again(client: AsyncOpenAI) -> None:
    with pytest.raises((openai.APIStatusError, openai.RateLimitError)) as refused:
        await client.with_options(max_retries=0).completions.create(
            model=MODEL,
            prompt="x " * 40_000,
            max_tokens=4,
            extra_headers={"x-cato-task": "completion", "x-slo-ttft-ms": "1"},
        )

    assert refused.value.status_code in (400, 408, 429)


async def test_a_stream_may_be_left_at_any_time(client: AsyncOpenAI) -> None:
    for heard in range(3):
        stream = await client.completions.create(
            model=MODEL, prompt="class A:", max_tokens=400, stream=True, extra_body=ENDLESS
        )
        for _ in range(heard):
            await anext(aiter(stream))
        await stream.close()

    after = await client.completions.create(model=MODEL, prompt="def f():", max_tokens=4)
    assert after.choices[0].text


async def test_a_session_replaces_its_older_completion(client: AsyncOpenAI) -> None:
    session = {"x-cato-session": uuid.uuid4().hex, "x-cato-task": "completion"}
    older = await client.completions.create(
        model=MODEL,
        prompt="class A:",
        max_tokens=10_000,
        stream=True,
        extra_headers=session,
        extra_body=ENDLESS,
    )
    await anext(aiter(older))

    newer = await client.completions.create(
        model=MODEL, prompt="class AB:", max_tokens=4, extra_headers=session
    )
    with pytest.raises(openai.APIError) as replaced:
        async for _ in older:
            pass

    assert newer.choices[0].text
    assert replaced.value.code == "superseded"


async def test_a_native_task_is_followed_to_its_end(http: aiohttp.ClientSession) -> None:
    asked = {"kind": "summarization", "code": "def f(): return 1", "max_tokens": 8}
    async with http.post("/v1/tasks", json=asked) as accepted:
        assert accepted.status == 202
        task = await accepted.json()

    events = await read_events(http, task["id"])
    again = await read_events(http, task["id"], after=events[0][0])
    async with http.get(f"/v1/tasks/{task['id']}") as looked:
        told = await looked.json()

    assert events[-1][1]["type"] == "ended"
    assert again == events[1:]
    assert told["status"] == "ended"
    assert told["output"] == "".join(event.get("text", "") for _, event in events)


async def test_a_native_task_is_cancelled(http: aiohttp.ClientSession) -> None:
    asked = {"kind": "generation", "instruction": "write a parser", "max_tokens": 10_000, **ENDLESS}
    async with http.post("/v1/tasks", json=asked) as accepted:
        task = await accepted.json()

    async with http.delete(f"/v1/tasks/{task['id']}") as answer:
        assert answer.status == 200
    events = await read_events(http, task["id"])

    assert events[-1][1]["outcome"] == "cancelled"


async def test_a_repeated_key_means_one_task(http: aiohttp.ClientSession) -> None:
    asked = {"model": MODEL, "prompt": "def f():", "max_tokens": 6}
    key = {"idempotency-key": uuid.uuid4().hex}

    answers = []
    for _ in range(2):
        async with http.post("/v1/completions", json=asked, headers=key) as answer:
            answers.append(await answer.json())
    async with http.post("/v1/completions", json={**asked, "seed": 1}, headers=key) as other:
        conflict = other.status, other.headers["x-should-retry"]

    assert answers[0]["id"] == answers[1]["id"]
    assert answers[0]["choices"] == answers[1]["choices"]
    assert conflict == (409, "false")


async def read_events(
    http: aiohttp.ClientSession, task_id: str, after: str | None = None
) -> list[tuple[str, dict[str, str]]]:
    headers = {} if after is None else {"last-event-id": after}
    async with http.get(f"/v1/tasks/{task_id}/events", headers=headers) as answer:
        assert answer.status == 200
        raw = (await answer.read()).decode()
    blocks = [block.split("\n") for block in raw.split("\n\n") if block.startswith("id: ")]
    return [
        (event_id.removeprefix("id: "), json.loads(data.removeprefix("data: ")))
        for event_id, data in blocks
    ]
