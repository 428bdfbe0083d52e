"""What every store of reply leases promises an ingress, and the scheduler that watches them."""

import asyncio
from collections.abc import Callable

import pytest

from shared.adapters.memory_reply_leases import MemoryReplyLeases
from shared.adapters.redis_reply_leases import RedisReplyLeases
from shared.domain.errors import Unavailable
from tests.eventually import WITHIN_S

Leases = MemoryReplyLeases | RedisReplyLeases
LeaseStore = Callable[..., Leases]


async def nobody_is_left(leases: Leases) -> None:
    async with asyncio.timeout(WITHIN_S):
        while await leases.live():  # noqa: ASYNC110 - only asking can tell
            await asyncio.sleep(0.02)


async def test_two_ingresses_never_share_a_partition(lease_store: LeaseStore) -> None:
    leases = lease_store()

    first = await leases.acquire("a")
    second = await leases.acquire("b")

    assert first != second
    assert await leases.live() == {first: "a", second: "b"}


async def test_one_incarnation_has_one_partition_however_often_it_asks(
    lease_store: LeaseStore,
) -> None:
    leases = lease_store()
    await leases.acquire("a")
    partition = await leases.acquire("b")
    await leases.release(0, "a")

    assert await leases.acquire("b") == partition

    assert await leases.live() == {partition: "b"}


async def test_when_all_partitions_are_leased_the_next_ingress_has_to_wait(
    lease_store: LeaseStore,
) -> None:
    leases = lease_store(partitions=2)
    first = await leases.acquire("a")
    await leases.acquire("b")

    with pytest.raises(Unavailable, match="all 2 reply partitions"):
        await leases.acquire("c")
    await leases.release(first, "a")

    assert await leases.acquire("c") == first


async def test_only_its_holder_renews_or_releases_a_lease(lease_store: LeaseStore) -> None:
    leases = lease_store()
    partition = await leases.acquire("a")

    await leases.release(partition, "b")

    assert not await leases.renew(partition, "b")
    assert await leases.renew(partition, "a")


async def test_a_lease_that_nobody_renews_runs_out(lease_store: LeaseStore) -> None:
    leases = lease_store(partitions=1, ttl_s=1.0)
    await leases.acquire("a")

    await nobody_is_left(leases)

    assert await leases.acquire("b") == 0
    assert not await leases.renew(0, "a")


async def test_a_lease_that_ran_out_can_be_taken_back_while_it_is_free(
    lease_store: LeaseStore,
) -> None:
    leases = lease_store(ttl_s=0.2)
    partition = await leases.acquire("a")

    await nobody_is_left(leases)

    assert await leases.renew(partition, "a")
