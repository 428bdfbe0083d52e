"""Over a real Redis the deadline queue keeps what it promises in memory, and something more."""

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from deploy.local.redis import LocalRedis
from shared.adapters.clock import SystemClock
from shared.adapters.redis_connection import BoundedRedis, connect_redis
from shared.adapters.redis_queue import RedisDeadlineQueue
from shared.domain.errors import Unavailable
from shared.domain.task import TaskId
from shared.scheduling.queue import DeadlineQueue, Entry, Put
from tests.builders import a_task
from tests.contract.deadline_queues import ONE, claim_of, claimed, entries
from tests.contract.test_chains_in_queue import *  # noqa: F403  the same promises, over Redis
from tests.contract.test_deadline_queue import *  # noqa: F403
from tests.contract.test_queue_leadership import *  # noqa: F403
from tests.eventually import WITHIN_S
from tests.integration.forgetful_proxy import ForgetfulProxy, forgetful_proxy

MODEL = "a-model"


@dataclass(frozen=True)
class InRedis:
    redis: BoundedRedis

    def queue(self, *, remember_s: float = 900, body_ttl_s: float = 900) -> RedisDeadlineQueue:
        return RedisDeadlineQueue(self.redis, MODEL, remember_s=remember_s, body_ttl_s=body_ttl_s)

    async def lose_everything(self) -> None:
        await self.redis.flushall()


@pytest.fixture
async def redis(real_redis: LocalRedis) -> AsyncIterator[BoundedRedis]:
    async with connect_redis(real_redis.url, limit_s=WITHIN_S) as redis:
        await redis.flushall()
        yield redis


@pytest.fixture
def store(redis: BoundedRedis) -> InRedis:
    return InRedis(redis)


@pytest.fixture
async def queue(store: InRedis) -> DeadlineQueue:
    queue = store.queue()
    await queue.open(1)
    return queue


Act = Callable[[], Awaitable[object]]


async def _repeated_by_the_client(proxy: ForgetfulProxy, act: Act) -> object:
    proxy.answers_to_lose = 1
    return await act()


async def _repeated_by_its_caller(proxy: ForgetfulProxy, act: Act) -> object:
    proxy.answers_to_lose = 1000
    with pytest.raises(Unavailable):
        await act()
    proxy.answers_to_lose = 0
    return await act()


@pytest.mark.parametrize("lossy", [_repeated_by_the_client, _repeated_by_its_caller])
async def test_an_act_whose_answer_was_lost_is_answered_as_the_first_time(
    redis: BoundedRedis,
    real_redis: LocalRedis,
    lossy: Callable[[ForgetfulProxy, Act], Awaitable[object]],
) -> None:
    async with (
        forgetful_proxy(real_redis.port) as (proxy, url),
        connect_redis(url, limit_s=WITHIN_S) as through,
    ):
        queue = RedisDeadlineQueue(through, MODEL)
        await queue.open(1)

        assert await lossy(proxy, lambda: queue.put(entries(a_task()))) == [Put.QUEUED]
        taken = await lossy(proxy, lambda: queue.claim([claim_of()]))
        assert isinstance(taken, list)
        fence = taken[0][0].fence
        assert await lossy(proxy, lambda: queue.requeue(a_task(), fence)) is True
        again = await claimed(queue, claim_of())
        assert again.number == fence.number + 1
        assert await lossy(proxy, lambda: queue.settle(ONE, again, b"done")) is True

        assert await queue.put(entries(a_task())) == [Put.KNOWN]
        assert await queue.settle(ONE, again, b"done") is False


async def test_scripts_that_redis_forgot_are_sent_again(
    redis: BoundedRedis, queue: DeadlineQueue
) -> None:
    await queue.put(entries(a_task("a")))

    await redis.script_flush()

    assert await queue.put(entries(a_task("b"), a_task("a"))) == [Put.QUEUED, Put.KNOWN]


async def test_a_redis_that_is_full_takes_what_frees_it(
    queue: DeadlineQueue, redis: BoundedRedis
) -> None:
    await queue.put(entries(a_task("waiting"), a_task("running")))
    fence = await claimed(queue, claim_of("running"))
    await redis.config_set("maxmemory", 1)
    try:
        await queue.bar(TaskId("unknown"))
        ended = await queue.settle(TaskId("running"), fence, b"{}")
        (begun,) = await queue.claim([claim_of("waiting")])
    finally:
        await redis.config_set("maxmemory", 0)

    assert ended
    assert begun is not None
    assert await queue.put(entries(a_task("unknown"))) == [Put.CANCELLED]


@pytest.mark.parametrize(
    ("setting", "bad", "good"),
    [("maxmemory", "1", "0"), ("min-replicas-to-write", "1", "0")],
    ids=["memory is full", "a replica is missing"],
)
async def test_what_redis_does_not_accept_now_can_be_repeated_later(
    redis: BoundedRedis, queue: DeadlineQueue, setting: str, bad: str, good: str
) -> None:
    await redis.config_set(setting, bad)
    try:
        with pytest.raises(Unavailable, match="Redis does not accept this now"):
            await queue.put(entries(a_task()))
    finally:
        await redis.config_set(setting, good)

    assert await queue.put(entries(a_task())) == [Put.QUEUED]


async def test_a_redis_that_is_not_there_is_unavailable() -> None:
    async with connect_redis("redis://127.0.0.1:1/0") as nobody:
        queue = RedisDeadlineQueue(nobody, MODEL)
        with pytest.raises(Unavailable, match="Redis cannot be reached"):
            await queue.open(1)
        with pytest.raises(Unavailable, match="Redis cannot be reached"):
            await queue.is_intact()


async def test_a_redis_that_was_restarted_is_not_intact_though_it_kept_its_tasks(
    tmp_path: Path,
) -> None:
    async with (
        LocalRedis.start(tmp_path, appends=True) as server,
        connect_redis(server.url, limit_s=WITHIN_S) as redis,
    ):
        queue = RedisDeadlineQueue(redis, MODEL)
        await queue.open(1)
        await queue.put(entries(a_task()))
        await queue.seal()
        assert await queue.is_intact()

        await server.restart()

        assert not await queue.is_intact()
        assert (await queue.open(2)).waiting == (a_task(),)


async def test_a_huge_batch_is_put_bit_by_bit(queue: DeadlineQueue) -> None:
    noise = Random(1).randbytes(200_000)
    many = [Entry(task=a_task(f"task-{i}"), body=noise) for i in range(60)]
    light = [Entry(task=a_task(f"light-{i}"), body=b"{}") for i in range(1200)]

    assert set(await queue.put([*many, *light])) == {Put.QUEUED}

    assert len((await queue.open(1)).waiting) == len(many) + len(light)


async def test_two_pools_share_a_redis_without_meeting(
    redis: BoundedRedis, queue: DeadlineQueue
) -> None:
    other = RedisDeadlineQueue(redis, "another-model")
    await other.open(1)

    await queue.put(entries(a_task()))

    assert await other.claim([claim_of()]) == [None]


async def test_a_clock_learns_its_offset_to_redis(redis: BoundedRedis) -> None:
    clock = SystemClock()
    unsynchronised_at = clock.now()

    await clock.synchronise(redis)

    # Redis runs on this machine, so all that can differ is the round trip.
    assert abs(clock.offset_s) < 0.1
    assert clock.now() - unsynchronised_at < 5


async def test_a_redis_that_hangs_is_unavailable_in_time(real_redis: LocalRedis) -> None:
    async with connect_redis(real_redis.url, limit_s=1.0) as redis:
        queue = RedisDeadlineQueue(redis, MODEL)
        await queue.open(1)

        os.kill(real_redis.child.pid, signal.SIGSTOP)
        try:
            with pytest.raises(Unavailable, match="did not answer in time"):
                await queue.put(entries(a_task()))
            with pytest.raises(Unavailable, match="did not answer in time"):
                await SystemClock().synchronise(redis)
        finally:
            os.kill(real_redis.child.pid, signal.SIGCONT)

        assert await queue.put(entries(a_task())) == [Put.QUEUED]
