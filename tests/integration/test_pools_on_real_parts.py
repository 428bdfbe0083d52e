"""Two models on real Kafka and real Redis: what befalls one pool, the other does not feel."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import openai
import pytest
import pytest_asyncio

from deploy.local.house import Blueprint, House, Pool
from deploy.local.redis import LocalRedis
from tests.eventually import WITHIN_S
from tests.integration.conftest import Kafka

pytestmark = pytest.mark.asyncio(loop_scope="session")

SMALL = Pool(workers=1, settings={"CATO_MODEL": "small"})
LARGE = Pool(workers=1, settings={"CATO_MODEL": "large"})
# Some 12,000 tokens, half a GPU-second: all of them together are a minute's work.
_FLOOD = 120
_LONG = "x = 1\n" * 8000


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(
    tmp_path_factory: pytest.TempPathFactory, kafka: Kafka, real_redis: LocalRedis
) -> AsyncIterator[House]:
    blueprint = Blueprint(
        directory=tmp_path_factory.mktemp("pools"),
        port=0,
        kafka=kafka.bootstrap,
        redis_url=real_redis.url,
        pools=[SMALL, LARGE],
        settings={
            "CATO_TOPIC_PREFIX": "pools.",
            "CATO_SMALL_FIRST": '{"auto": ["small", "large"]}',
        },
    )
    async with House.build(blueprint) as house:
        yield house


async def test_each_model_is_listed_and_answers_from_its_own_workers(
    house: House, client: openai.AsyncOpenAI
) -> None:
    listed = {model.id async for model in client.models.list()}
    served = [await _worker_of(client, model) for model in ("small", "large")]

    assert listed == {"small", "large", "auto"}
    assert served == [house.called("worker", pool)[0].name for pool in (SMALL, LARGE)]


async def test_a_model_that_nobody_leads_is_refused_with_those_that_are_known(
    client: openai.AsyncOpenAI,
) -> None:
    with pytest.raises(openai.NotFoundError, match="known models: small, large"):
        await _worker_of(client, "medium")


@pytest.mark.parametrize(("prompt", "answers"), [("x = 1\n", "small"), ("x = (\n    ", "large")])
async def test_the_small_model_answers_where_its_answer_fits_and_else_the_large_one(
    client: openai.AsyncOpenAI, prompt: str, answers: str
) -> None:
    answer = await client.completions.create(
        model="auto",
        prompt=prompt,
        suffix="\n",
        stop="\n",
        max_tokens=64,
        extra_headers={"x-cato-task": "completion", "x-slo-ttft-ms": "9000"},
    )

    assert answer.model == answers


async def test_one_pool_that_drowns_costs_the_other_no_answer(client: openai.AsyncOpenAI) -> None:
    flood = [asyncio.create_task(_ask(client, "large", _LONG)) for _ in range(_FLOOD)]

    beside = Counter([await _ask(client, "small", f"def f{n}():") for n in range(40)])
    drowned = Counter(await asyncio.gather(*flood))

    assert beside == {"answered": 40}
    assert drowned["refused with 429"] > 0
    assert drowned["refused with 503"] == 0


async def test_one_pool_that_dies_is_told_of_and_costs_the_other_no_answer(
    house: House, client: openai.AsyncOpenAI
) -> None:
    for part in (*house.called("scheduler", LARGE), *house.called("worker", LARGE)):
        part.kill()
        house.household.children.remove(part)

    beside = Counter([await _ask(client, "small", f"def g{n}():") for n in range(40)])
    await _until(client, "large", said="refused with 503")
    listed = {model.id async for model in client.models.list()}
    await house.start("scheduler", LARGE)
    await house.start("worker", LARGE)
    await _until(client, "large", said="answered")

    assert beside == {"answered": 40}
    assert listed == {"small", "large", "auto"}
    assert await _worker_of(client, "large") == house.called("worker", LARGE)[0].name


async def _worker_of(client: openai.AsyncOpenAI, model: str) -> str:
    """Who answered."""
    answer = await client.completions.with_raw_response.create(
        model=model, prompt="def f():", max_tokens=4, extra_headers={"x-cato-task": "batch"}
    )
    return str(answer.headers["x-cato-worker"].partition("/")[0])


async def _until(client: openai.AsyncOpenAI, model: str, *, said: str) -> None:
    """The house hears of deaths by silence, and of newcomers by their next report."""
    impatient = client.with_options(timeout=1)
    async with asyncio.timeout(WITHIN_S):
        while await _ask(impatient, model, "pass") != said:
            pass


async def _ask(client: openai.AsyncOpenAI, model: str, prompt: str) -> str:
    try:
        answer = await client.completions.create(
            model=model,
            prompt=prompt,
            max_tokens=8,
            extra_headers={"x-cato-task": "summarization"},
        )
    except openai.APIStatusError as refusal:
        return f"refused with {refusal.status_code}"
    except openai.APITimeoutError:
        return "left"
    return "answered" if answer.choices[0].text else "empty"
