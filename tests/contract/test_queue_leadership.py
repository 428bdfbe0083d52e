"""Who may write to a deadline queue, and what a new leader finds there."""

import asyncio
from dataclasses import replace

import pytest

from shared.domain.errors import Deposed, Unavailable
from shared.domain.fence import Fence
from shared.domain.task import TaskId
from shared.scheduling.queue import DeadlineQueue, Put
from tests.builders import a_task
from tests.contract.deadline_queues import A_LEASE, ONE, Store, claim_of, claimed, entries
from tests.eventually import WITHIN_S


async def test_a_task_that_runs_already_is_adopted(store: Store, queue: DeadlineQueue) -> None:
    elsewhere, waits = a_task("elsewhere"), a_task("waits")
    await queue.put(entries(waits))
    leases = [replace(A_LEASE, task_id=task.id) for task in (elsewhere, waits)]

    for entry, lease in zip(entries(elsewhere, waits), leases, strict=True):
        assert await queue.adopt(entry, lease)
        assert await queue.adopt(entry, lease)

    found = await store.queue().open(2)
    assert found.waiting == ()
    assert set(found.running) == set(zip((elsewhere, waits), leases, strict=True))


async def test_a_task_is_adopted_by_the_newest_fence(queue: DeadlineQueue) -> None:
    (entry,) = entries(a_task())
    older, newer = (replace(A_LEASE, fence=Fence(*fence)) for fence in ((0, 9), (0, 10)))
    await queue.adopt(entry, older)

    assert await queue.adopt(entry, newer)

    assert not await queue.adopt(entry, older)
    assert await queue.settle(ONE, newer.fence, b"done")


async def test_an_ended_task_is_not_adopted(queue: DeadlineQueue) -> None:
    await queue.put(entries(a_task()))
    await queue.settle(ONE, None, b"done")

    assert not await queue.adopt(entries(a_task())[0], A_LEASE)


async def test_a_deposed_leader_changes_nothing(store: Store, queue: DeadlineQueue) -> None:
    await queue.put(entries(a_task()))
    fence = await claimed(queue, claim_of())
    before = await store.queue().open(2)

    acts = (
        lambda: queue.put(entries(a_task("other"))),
        lambda: queue.claim([claim_of()]),
        lambda: queue.adopt(entries(a_task("other"))[0], A_LEASE),
        lambda: queue.requeue(a_task(), fence),
        lambda: queue.settle(ONE, fence, b"done"),
        lambda: queue.told([ONE]),
        lambda: queue.bar(TaskId("other")),
        lambda: queue.seal(),
        lambda: queue.open(1),
    )
    for act in acts:
        with pytest.raises(Deposed):
            await act()

    assert await store.queue().open(2) == before


async def test_a_new_leader_finds_what_the_old_one_left(store: Store, queue: DeadlineQueue) -> None:
    await queue.put(entries(a_task("waits"), a_task("runs"), a_task("ended")))
    fence = await claimed(queue, claim_of("runs"))
    await queue.settle(TaskId("ended"), None, b"done")

    found = await store.queue().open(2)

    assert found.waiting == (a_task("waits"),)
    assert [(task.id, lease.fence) for task, lease in found.running] == [("runs", fence)]
    assert found.endings == (("ended", b"done"),)


async def test_a_lost_store_is_noticed_by_every_write(store: Store, queue: DeadlineQueue) -> None:
    await queue.put(entries(a_task()))

    await store.lose_everything()

    with pytest.raises(Unavailable, match="lost"):
        await queue.put(entries(a_task()))
    assert (await queue.open(1)).waiting == ()
    assert await queue.put(entries(a_task())) == [Put.QUEUED]


async def test_a_store_is_intact_only_after_it_was_sealed(
    store: Store, queue: DeadlineQueue
) -> None:
    assert not await queue.is_intact()

    await queue.seal()

    assert await queue.is_intact()
    assert (await store.queue().open(2)).is_intact


async def test_a_lost_store_is_not_intact(store: Store, queue: DeadlineQueue) -> None:
    await queue.seal()

    await store.lose_everything()

    assert not await queue.is_intact()
    assert not (await queue.open(1)).is_intact


async def test_one_candidate_leads_and_renews(queue: DeadlineQueue) -> None:
    assert await queue.elect("a", ttl_s=10)

    assert not await queue.elect("b", ttl_s=10)
    assert await queue.elect("a", ttl_s=10)


async def test_who_resigns_is_followed_at_once(queue: DeadlineQueue) -> None:
    await queue.elect("a", ttl_s=10)

    await queue.resign("b")
    assert not await queue.elect("b", ttl_s=10)
    await queue.resign("a")

    assert await queue.elect("b", ttl_s=10)


async def test_a_silent_leader_is_followed_when_its_time_is_up(queue: DeadlineQueue) -> None:
    await queue.elect("a", ttl_s=0.1)

    async with asyncio.timeout(WITHIN_S):
        while not await queue.elect("b", ttl_s=10):  # noqa: ASYNC110 - only asking can tell
            await asyncio.sleep(0.01)

    assert not await queue.elect("a", ttl_s=10)
