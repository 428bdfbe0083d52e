"""Chains on real Kafka and real Redis, while parts of the house are killed between their steps."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from deploy.cli.errors import CommandFailed
from deploy.cli.trace_files import Hop, hops_of
from deploy.local.house import Blueprint, House
from deploy.local.redis import LocalRedis
from shared.adapters.redis_connection import connect_redis
from shared.telemetry import names
from tests.integration.conftest import Kafka

pytestmark = pytest.mark.asyncio(loop_scope="session")

_WITHIN_S = 90.0
_STEP: dict[str, Any] = {"kind": "summarization", "max_tokens": 150}
_CHAIN: dict[str, Any] = {
    "code": "def f(x):\n    return x + 1",
    "promise": {"e2e_ms": 60_000},
    "steps": [
        {**_STEP, "name": "parts", "prompt": "{item}: {input}", "over": ["a", "b", "c"]},
        {**_STEP, "name": "again", "prompt": "{parts}"},
        {**_STEP, "name": "whole", "prompt": "{again}", "max_tokens": 20},
    ],
}


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
        settings={"CATO_TOPIC_PREFIX": "chains."},
    )
    async with House.build(blueprint) as house:
        yield house


async def test_a_chain_is_answered_and_its_steps_are_in_one_trace(house: House) -> None:
    task_id, ended = await _through(house)

    assert ended["outcome"] == "completed"
    assert ended["output"]
    assert [step["status"] for step in ended["steps"]] == ["ended"] * 3
    assert set(await _steps_traced(house, task_id)) == {"0.0", "0.1", "0.2", "1.0", "2.0"}


async def test_a_chain_outlives_its_scheduler(house: House) -> None:
    async def kill_the_leader() -> None:
        leader = house.called("scheduler")[0]
        leader.kill()
        house.household.children.remove(leader)
        await house.start("scheduler")

    _, ended = await _through(house, kill_the_leader)

    assert ended["outcome"] in ("completed", "late")


async def test_a_chain_outlives_the_memory_of_redis(
    house: House, forgetful_redis: LocalRedis
) -> None:
    async def forget_everything() -> None:
        async with connect_redis(forgetful_redis.url) as store:
            await store.flushall()

    _, ended = await _through(house, forget_everything)

    assert ended["outcome"] in ("completed", "late")
    assert ended["output"]


async def _through(
    house: House, disturb: Callable[[], Awaitable[None]] | None = None
) -> tuple[str, dict[str, Any]]:
    """A chain from its acceptance to its end, with something done to the house between steps."""
    async with aiohttp.ClientSession(house.base_url) as client:
        async with client.post("/v1/tasks", json=_CHAIN) as accepted:
            assert accepted.status == 202, await accepted.text()
            task_id = (await accepted.json())["id"]
        if disturb is not None:
            await _until(client, task_id, lambda told: told["steps"][0]["status"] == "ended")
            await disturb()
        return task_id, await _until(client, task_id, lambda told: told["status"] == "ended")


async def _until(
    client: aiohttp.ClientSession, task_id: str, is_so: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    async with asyncio.timeout(_WITHIN_S):
        while True:
            async with client.get(f"/v1/tasks/{task_id}") as answer:
                told: dict[str, Any] = await answer.json()
            if answer.status == 200 and is_so(told):
                return told
            await asyncio.sleep(0.05)


async def _steps_traced(house: House, task_id: str) -> list[str]:
    """Spans are written a moment after they are over."""
    async with asyncio.timeout(_WITHIN_S):
        while True:
            hops: list[Hop] = []
            with suppress(CommandFailed):
                hops = hops_of(task_id, house.blueprint.directory / "traces")
            steps = [str(hop.text(names.STEP)) for hop in hops if hop.name == names.SPAN_STEP]
            if len(steps) >= len(_CHAIN["steps"]) + 2:
                return steps
            await asyncio.sleep(0.1)
