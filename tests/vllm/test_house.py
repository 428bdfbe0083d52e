"""The whole house around vLLM: HTTP, Kafka, scheduler, worker, the model's own tokens, and back."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pytest
import pytest_asyncio

from deploy.local.house import Blueprint, House, Pool
from services.worker.engines.vllm import VLLMEngine
from tests.contract.engine_promises import a_job, pieces_of, text_of
from tests.vllm.tiny import MODEL, PYTHONS, worker_settings

pytestmark = pytest.mark.asyncio(loop_scope="session")

_PATIENT = {"x-slo-ttft-ms": "20000"}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def client(
    tmp_path_factory: pytest.TempPathFactory, model_folder: Path
) -> AsyncIterator[openai.AsyncOpenAI]:
    blueprint = Blueprint(
        directory=tmp_path_factory.mktemp("house"),
        port=0,
        pools=[Pool(workers=1)],
        settings=worker_settings(model_folder),
        pythons=PYTHONS,
    )
    async with (
        House.build(blueprint) as house,
        openai.AsyncOpenAI(
            base_url=f"{house.base_url}/v1", api_key="unused", default_headers=_PATIENT
        ) as client,
    ):
        yield client


async def test_a_completion_is_streamed_as_the_model_writes_it(
    client: openai.AsyncOpenAI, engine: VLLMEngine
) -> None:
    stream = await client.completions.create(
        model=MODEL,
        prompt="def add(a, b):",
        max_tokens=24,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"ignore_eos": True},
    )
    chunks = [chunk async for chunk in stream]

    text = "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
    alone = await pieces_of(engine, a_job(prompt="def add(a, b):", max_tokens=24))
    assert text == text_of(alone)
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (14, 24)


async def test_no_answer_of_a_model_says_that_it_is_synthetic(client: openai.AsyncOpenAI) -> None:
    answered = await client.chat.completions.with_raw_response.create(
        model=MODEL, messages=[{"role": "user", "content": "hello"}], max_tokens=4
    )

    assert "x-cato-synthetic" not in answered.headers
    assert answered.parse().choices[0].message.content


async def test_many_at_once_are_all_answered(client: openai.AsyncOpenAI) -> None:
    asking = [
        client.completions.create(
            model=MODEL, prompt=f"# {number}", max_tokens=16, extra_body={"ignore_eos": True}
        )
        for number in range(24)
    ]

    answers = await asyncio.gather(*asking)

    tokens = [answer.usage.completion_tokens for answer in answers if answer.usage is not None]
    assert tokens == [16] * 24


async def test_a_prompt_beyond_the_context_is_a_400_that_names_both_lengths(
    client: openai.AsyncOpenAI,
) -> None:
    with pytest.raises(openai.BadRequestError, match=r"6000 tokens; the context of 4096"):
        await client.completions.create(model=MODEL, prompt="x" * 6000, max_tokens=4)
