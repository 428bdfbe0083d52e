"""What ingresses share keeps over a real Redis the promises that it keeps in memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from deploy.local.redis import LocalRedis
from shared.adapters.redis_connection import BoundedRedis, connect_redis
from shared.adapters.redis_event_log import RedisEventLog
from shared.adapters.redis_idempotency import RedisIdempotency
from shared.adapters.redis_quota import RedisQuota
from shared.adapters.redis_reply_leases import RedisReplyLeases
from shared.domain.errors import Unavailable
from shared.domain.task import TaskId
from tests.contract.test_event_log import *  # noqa: F403  the same promises, over Redis
from tests.contract.test_idempotency import *  # noqa: F403
from tests.contract.test_quota import *  # noqa: F403
from tests.contract.test_reply_leases import *  # noqa: F403
from tests.eventually import WITHIN_S


@pytest.fixture
async def redis(real_redis: LocalRedis) -> AsyncIterator[BoundedRedis]:
    async with connect_redis(real_redis.url, limit_s=WITHIN_S) as redis:
        await redis.flushall()
        yield redis


@pytest.fixture
def lease_store(redis: BoundedRedis) -> Callable[..., RedisReplyLeases]:
    return lambda *, partitions=4, ttl_s=10.0: RedisReplyLeases(redis, partitions, ttl_s)


@pytest.fixture
def event_log(redis: BoundedRedis) -> RedisEventLog:
    return RedisEventLog(redis, ttl_s=60, byte_cap=100)


@pytest.fixture
def short_log(redis: BoundedRedis) -> RedisEventLog:
    return RedisEventLog(redis, ttl_s=1, byte_cap=100)


@pytest.fixture
def quota(redis: BoundedRedis) -> RedisQuota:
    return RedisQuota(redis)


@pytest.fixture
def idempotency(redis: BoundedRedis) -> RedisIdempotency:
    return RedisIdempotency(redis)


async def test_more_than_a_hundred_can_follow_at_once(event_log: RedisEventLog) -> None:
    await event_log.open("t", "tenant-1", "")
    following = asyncio.gather(*(anext(event_log.read("t", None)) for _ in range(120)))
    await asyncio.sleep(0)

    await event_log.append("t", "an event", 1)

    assert {event for _, event in await following} == {"an event"}


async def test_a_redis_without_memory_keeps_the_leases_it_has(redis: BoundedRedis) -> None:
    leases = RedisReplyLeases(redis, 4, ttl_s=10)
    partition = await leases.acquire("here")
    await redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(Unavailable, match="does not accept this now"):
            await leases.acquire("newcomer")

        assert await leases.renew(partition, "here")
    finally:
        await redis.config_set("maxmemory", 0)


async def test_without_redis_everything_is_unavailable() -> None:
    async with connect_redis("redis://127.0.0.1:1/0") as nobody:
        log = RedisEventLog(nobody, ttl_s=1, byte_cap=100)
        acts: tuple[Callable[[], Awaitable[object]], ...] = (
            lambda: RedisReplyLeases(nobody, 4).live(),
            lambda: RedisReplyLeases(nobody, 4).acquire("a"),
            lambda: log.open("t", "a", ""),
            lambda: log.append("t", "an event", 1),
            lambda: log.tenant_of("t"),
            lambda: anext(log.read("t", None)),
            lambda: RedisQuota(nobody).take("a", 1, 1, 1),
            lambda: RedisIdempotency(nobody).claim("a", "key", "digest", TaskId("t"), 60),
            lambda: RedisIdempotency(nobody).release("a", "key"),
        )
        for act in acts:
            with pytest.raises(Unavailable, match="Redis cannot be reached"):
                await act()
