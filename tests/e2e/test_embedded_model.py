"""A house with the model that is shipped writes real tokens, and says what it cannot take."""

from collections.abc import AsyncIterator

import openai
import pytest
import pytest_asyncio

from deploy.local.house import Blueprint, House, Pool
from deploy.local.pools import tokenizers_of
from deploy.models.architecture import MODEL, Architecture

pytestmark = pytest.mark.asyncio(loop_scope="module")

POOL = Pool(
    workers=1,
    settings={
        "CATO_MODEL": "cato-code",
        "CATO_ENGINE": "embedded",
        "CATO_ENGINE_MODEL": str(MODEL),
        "CATO_PROFILE": "embedded",
    },
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[openai.AsyncOpenAI]:
    """Patient, since a busy machine may be slower than people who type."""
    blueprint = Blueprint(
        directory=tmp_path_factory.mktemp("house"),
        port=0,
        pools=[POOL],
        settings=tokenizers_of([POOL]),
    )
    async with (
        House.build(blueprint) as house,
        openai.AsyncOpenAI(
            base_url=f"{house.base_url}/v1",
            api_key="unused",
            default_headers={"x-slo-ttft-ms": "10000"},
        ) as client,
    ):
        yield client


async def test_the_middle_is_written_by_a_model_and_ends_by_itself(
    client: openai.AsyncOpenAI,
) -> None:
    answer = await client.completions.with_raw_response.create(
        model="cato-code",
        prompt="import os\n\n\ndef size(path):\n    return os.path.getsize(pat",
        suffix="\n\n\nprint(size('a'))\n",
        max_tokens=40,
        temperature=0,
    )

    (choice,) = answer.parse().choices
    assert "x-cato-synthetic" not in answer.headers
    assert choice.text == "h)"
    assert choice.finish_reason == "stop"


async def test_its_tokens_are_streamed(client: openai.AsyncOpenAI) -> None:
    stream = await client.completions.create(
        model="cato-code",
        prompt="class Stack:\n    def __init__(self):\n        self.items = []\n\n",
        max_tokens=120,
        temperature=0,
        stream=True,
        extra_body={"ignore_eos": True},
    )

    texts = [chunk.choices[0].text async for chunk in stream if chunk.choices]

    assert "def " in "".join(texts)
    assert len(texts) > 2


async def test_a_prompt_beyond_the_context_is_refused_with_both_lengths(
    client: openai.AsyncOpenAI,
) -> None:
    context_tokens = Architecture().max_position_embeddings

    with pytest.raises(openai.BadRequestError) as refused:
        await client.completions.create(
            model="cato-code", prompt=" 1" * (context_tokens + 10), max_tokens=4
        )

    assert refused.value.code == "context_length_exceeded"
    assert f"{context_tokens + 10} tokens" in str(refused.value)
    assert f"context {context_tokens}" in str(refused.value)
