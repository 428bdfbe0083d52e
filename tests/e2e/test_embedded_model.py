"""A house with the model that is shipped writes real tokens, and says what it cannot take."""

from collections.abc import AsyncIterator

import openai
import pytest
import pytest_asyncio

from deploy.local.house import Blueprint, House, Pool
from deploy.local.pools import tokenizers_of
from deploy.models.architecture import MODEL, Architecture

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPENING = "class Stack:\n    def __init__(self):\n        self.items = []\n\n    def "
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


async def test_who_asks_is_told_how_likely_the_tokens_of_a_completion_were(
    client: openai.AsyncOpenAI,
) -> None:
    answer = await client.completions.create(
        model="cato-code", prompt=OPENING, max_tokens=12, temperature=0, logprobs=2
    )
    stream = await client.completions.create(
        model="cato-code", prompt=OPENING, max_tokens=12, temperature=0, logprobs=2, stream=True
    )
    parts = [chunk.choices[0].logprobs async for chunk in stream if chunk.choices]

    (choice,) = answer.choices
    told = choice.logprobs
    assert told is not None
    assert told.tokens is not None
    assert told.token_logprobs is not None
    assert "".join(told.tokens).startswith(choice.text)
    assert all(logprob <= 0 for logprob in told.token_logprobs)
    assert all(len(top) in (2, 3) for top in told.top_logprobs or ())
    assert [token for part in parts if part for token in part.tokens or ()] == told.tokens
    assert [at for part in parts if part for at in part.text_offset or ()] == told.text_offset


async def test_who_asks_is_told_how_likely_the_tokens_of_a_chat_were(
    client: openai.AsyncOpenAI,
) -> None:
    answer = await client.chat.completions.create(
        model="cato-code",
        messages=[{"role": "user", "content": OPENING}],
        max_tokens=12,
        temperature=0,
        logprobs=True,
        top_logprobs=2,
    )

    (choice,) = answer.choices
    assert choice.logprobs is not None
    assert choice.logprobs.content is not None
    text = b"".join(bytes(each.bytes or ()) for each in choice.logprobs.content).decode()
    assert text.startswith(choice.message.content or "nothing")
    assert all(len(each.top_logprobs) == 2 for each in choice.logprobs.content)


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
