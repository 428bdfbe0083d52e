"""A house under load is given another worker, and lets it go again without losing a task."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import openai
import pytest
import pytest_asyncio

from deploy.local.house import Blueprint, House, Pool
from deploy.local.redis import LocalRedis
from deploy.local.scaling import keep_scaled
from tests.eventually import eventually
from tests.integration.conftest import Kafka

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Some 12,000 tokens, half a GPU-second: a few of them a second are more than one worker's part.
_LONG = "x = 1\n" * 8000
_SHORT = "x = 1\n"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(
    tmp_path_factory: pytest.TempPathFactory, kafka: Kafka, real_redis: LocalRedis
) -> AsyncIterator[House]:
    blueprint = Blueprint(
        directory=tmp_path_factory.mktemp("scaled"),
        port=0,
        kafka=kafka.bootstrap,
        redis_url=real_redis.url,
        pools=[Pool(workers=1)],
        settings={
            "CATO_TOPIC_PREFIX": "scaled.",
            "CATO_MODEL": "scaled",
            "CATO_WORKER_START_S": "1",
            "CATO_SCALING_CAUTION": "0",
        },
    )
    async with House.build(blueprint) as house:
        yield house


async def test_a_worker_comes_with_the_load_and_goes_after_it_and_no_task_is_lost(
    house: House, client: openai.AsyncOpenAI
) -> None:
    scaling = asyncio.create_task(keep_scaled(house, most=2, hold_s=1.0))
    load = asyncio.create_task(_ask_on(client, _LONG, rate=6.0))
    await eventually(lambda: _workers(house) == 2, saying="a worker is added")
    added = house.called("worker")[-1]
    load.cancel()
    trickle = asyncio.create_task(_ask_on(client, _SHORT, rate=1.0))
    await eventually(lambda: _workers(house) == 1, saying="it is let go")
    await eventually(lambda: not added.is_running(), saying="it has left")
    trickle.cancel()

    ends = await load + await trickle

    scaling.cancel()
    await asyncio.gather(scaling, return_exceptions=True)
    assert set(ends) == {"answered"}
    assert house.called("worker")[0].is_running()


def _workers(house: House) -> int:
    return len(house.called("worker"))


async def _ask_on(client: openai.AsyncOpenAI, prompt: str, *, rate: float) -> Counter[str]:
    """Until cancelled; then how all that was asked ended."""
    asking: list[asyncio.Task[str]] = []
    try:
        while True:
            asking.append(asyncio.create_task(_ask(client, prompt)))
            await asyncio.sleep(1 / rate)
    except asyncio.CancelledError:
        return Counter(await asyncio.gather(*asking))


async def _ask(client: openai.AsyncOpenAI, prompt: str) -> str:
    try:
        answer = await client.completions.create(
            model="scaled",
            prompt=prompt,
            max_tokens=30,
            extra_headers={"x-cato-task": "summarization", "x-slo-e2e-ms": "60000"},
        )
    except openai.APIStatusError as refusal:
        return f"refused with {refusal.status_code}"
    return "answered" if answer.choices[0].text else "empty"
