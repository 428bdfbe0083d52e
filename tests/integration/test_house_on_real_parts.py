"""The whole house on real Kafka and real Redis, while parts of it are killed under load."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import openai
import pytest
import pytest_asyncio

from deploy.local.house import Blueprint, House
from deploy.local.redis import LocalRedis
from tests.integration.conftest import Kafka

pytestmark = pytest.mark.asyncio(loop_scope="session")

_LOAD_S = 8.0
_RATE = 15.0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(
    tmp_path_factory: pytest.TempPathFactory, kafka: Kafka, forgetful_redis: LocalRedis
) -> AsyncIterator[House]:
    blueprint = Blueprint(
        directory=tmp_path_factory.mktemp("house"),
        port=0,
        kafka=kafka.bootstrap,
        redis_url=forgetful_redis.url,
        schedulers=2,
        settings={"CATO_TOPIC_PREFIX": "house."},
    )
    async with House.build(blueprint) as house:
        yield house


async def test_every_task_is_answered_when_the_leader_is_killed_under_load(
    house: House, client: openai.AsyncOpenAI
) -> None:
    async def kill_the_leader() -> None:
        leader = house.called("scheduler")[0]
        leader.kill()
        house.household.children.remove(leader)
        await house.start("scheduler")

    ends = await _under_load(client, kill_the_leader)

    assert ends == {"answered": ends.total()}


async def test_no_task_is_left_without_an_end_when_a_worker_is_killed_under_load(
    house: House, client: openai.AsyncOpenAI
) -> None:
    async def kill_a_worker() -> None:
        worker = house.called("worker")[0]
        worker.kill()
        house.household.children.remove(worker)
        await house.start("worker")

    ends = await _under_load(client, kill_a_worker)

    assert _kinds(ends) <= {"answered", "broken off"}, ends
    assert ends["answered"] > 0.8 * ends.total()


async def test_nothing_accepted_is_lost_when_redis_dies_with_its_memory(
    house: House, client: openai.AsyncOpenAI, forgetful_redis: LocalRedis
) -> None:
    async def kill_redis() -> None:
        forgetful_redis.kill()
        await forgetful_redis.restart()

    ends = await _under_load(client, kill_redis)

    assert _kinds(ends) <= {"answered", "refused with 503"}, ends
    assert ends["answered"] > 0.5 * ends.total()


async def test_a_worker_that_is_stopped_kindly_costs_nobody_an_answer(
    house: House, client: openai.AsyncOpenAI
) -> None:
    async def stop_a_worker() -> None:
        worker = house.called("worker")[0]
        await worker.stop(drain_s=30)
        house.household.children.remove(worker)
        await house.start("worker")

    ends = await _under_load(client, stop_a_worker)

    assert ends == {"answered": ends.total()}


@pytest.mark.parametrize("letter", ["x", "\u0001", "\u20ac"])
async def test_a_prompt_of_256_kib_passes_whatever_it_is_made_of(
    client: openai.AsyncOpenAI, letter: str
) -> None:
    prompt = letter * (256 * 1024 // len(letter.encode()))

    answer = await client.completions.create(
        model="cato-demo",
        prompt=prompt,
        max_tokens=4,
        extra_headers={"x-cato-task": "batch"},
    )

    assert answer.choices[0].finish_reason == "length"


async def _under_load(
    client: openai.AsyncOpenAI, disturb: Callable[[], Awaitable[None]]
) -> Counter[str]:
    """How requests ended that kept coming while something was done to the house."""
    loop = asyncio.get_running_loop()
    begin_at = loop.time()
    asking: list[asyncio.Task[str]] = []
    disturbing: asyncio.Future[None] | None = None
    for number in range(int(_LOAD_S * _RATE)):
        at = begin_at + number / _RATE
        await asyncio.sleep(max(0.0, at - loop.time()))
        asking.append(asyncio.create_task(_ask(client, number)))
        if disturbing is None and at - begin_at > _LOAD_S / 4:
            disturbing = asyncio.ensure_future(disturb())
    assert disturbing is not None
    await disturbing
    return Counter(await asyncio.gather(*asking))


def _kinds(ends: Counter[str]) -> set[str]:
    return {end.partition(":")[0] for end in ends}


async def _ask(client: openai.AsyncOpenAI, number: int) -> str:
    """How it ended, and after a colon what was said about it."""
    text = ""
    try:
        stream = await client.chat.completions.create(
            model="cato-demo",
            messages=[{"role": "user", "content": f"Summarize function number {number}."}],
            max_tokens=40,
            stream=True,
            extra_headers={"x-cato-task": "summarization", "x-slo-e2e-ms": "60000"},
        )
        async for chunk in stream:
            text += chunk.choices[0].delta.content or "" if chunk.choices else ""
    except openai.APIStatusError as refusal:
        return f"refused with {refusal.status_code}: {refusal.message}"
    except openai.APIError as error:
        return f"broken off: {error.message}"
    return "answered" if text else "empty"
