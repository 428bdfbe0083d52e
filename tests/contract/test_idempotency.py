"""What every memory of idempotency keys promises a client that repeats itself."""

import asyncio

from shared.adapters.memory_idempotency import MemoryIdempotency
from shared.adapters.redis_idempotency import RedisIdempotency
from shared.domain.admission import IdempotencyAnswer
from shared.domain.task import TaskId
from tests.eventually import WITHIN_S

Idempotency = MemoryIdempotency | RedisIdempotency

FIRST, SECOND = TaskId("task-1"), TaskId("task-2")


async def is_new(idempotency: Idempotency, tenant: str = "a", key: str = "key") -> bool:
    return (await idempotency.claim(tenant, key, "digest", SECOND, 60)).is_new


async def test_the_first_use_of_a_key_is_new(idempotency: Idempotency) -> None:
    answer = await idempotency.claim("a", "key", "digest", FIRST, 60)

    assert answer == IdempotencyAnswer(task_id=FIRST, is_new=True, is_conflict=False)


async def test_a_repeated_key_means_the_first_task(idempotency: Idempotency) -> None:
    await idempotency.claim("a", "key", "digest", FIRST, 60)

    answer = await idempotency.claim("a", "key", "digest", SECOND, 60)

    assert answer == IdempotencyAnswer(task_id=FIRST, is_new=False, is_conflict=False)


async def test_a_repeated_key_with_another_body_is_a_conflict(idempotency: Idempotency) -> None:
    await idempotency.claim("a", "key", "digest", FIRST, 60)

    answer = await idempotency.claim("a", "key", "other digest", SECOND, 60)

    assert answer == IdempotencyAnswer(task_id=FIRST, is_new=False, is_conflict=True)


async def test_tenants_and_keys_do_not_meet(idempotency: Idempotency) -> None:
    await idempotency.claim("a", "b key", "digest", FIRST, 60)

    assert await is_new(idempotency, tenant="b", key="b key")
    assert await is_new(idempotency, tenant="a", key="key")
    assert await is_new(idempotency, tenant="a b", key="key")


async def test_a_released_key_can_be_used_again(idempotency: Idempotency) -> None:
    await idempotency.claim("a", "key", "digest", FIRST, 60)

    await idempotency.release("a", "key")

    assert await is_new(idempotency)


async def test_a_key_is_forgotten_in_time(idempotency: Idempotency) -> None:
    await idempotency.claim("a", "key", "digest", FIRST, 1)

    async with asyncio.timeout(WITHIN_S):
        while not await is_new(idempotency):  # noqa: ASYNC110 - only asking can tell
            await asyncio.sleep(0.05)
