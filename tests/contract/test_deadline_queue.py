"""What every deadline queue promises; the integration suite runs the same over a real Redis."""

import asyncio
from dataclasses import replace

import pytest

from shared.domain.fence import Fence
from shared.domain.task import TaskId
from shared.scheduling.queue import DeadlineQueue, Put
from tests.builders import a_task
from tests.contract.deadline_queues import ONE, Store, claim_of, claimed, entries
from tests.eventually import WITHIN_S


async def test_a_put_task_waits_with_all_its_facts(store: Store, queue: DeadlineQueue) -> None:
    task = replace(
        a_task(ttft_s=0.3, session="s", useful_s=1.5, priority=2, received_at=1e9 + 0.123456),
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        attempts=2,
    )

    answers = await queue.put(entries(task))

    assert answers == [Put.QUEUED]
    assert (await store.queue().open(2)).waiting == (task,)


async def test_a_task_is_queued_once(queue: DeadlineQueue) -> None:
    twice = entries(a_task(), a_task())

    assert await queue.put(twice) == [Put.QUEUED, Put.KNOWN]
    assert await queue.put(twice) == [Put.KNOWN, Put.KNOWN]


async def test_a_running_task_and_an_ended_one_are_known(queue: DeadlineQueue) -> None:
    running, ended = entries(a_task("running"), a_task("ended"))
    await queue.put([running, ended])
    await queue.claim([claim_of("running")])
    await queue.settle(ended.task.id, None, b"done")

    assert await queue.put([running, ended]) == [Put.KNOWN, Put.KNOWN]


async def test_an_ended_task_is_forgotten_after_a_while(store: Store) -> None:
    queue = store.queue(remember_s=1)
    await queue.open(1)
    await queue.put(entries(a_task()))
    await queue.settle(ONE, None, b"done")

    async with asyncio.timeout(WITHIN_S):
        while await queue.put(entries(a_task())) == [Put.KNOWN]:  # noqa: ASYNC110 - only asking can tell
            await asyncio.sleep(0.05)

    assert [task.id for task in (await queue.open(1)).waiting] == [ONE]


async def test_a_claim_hands_over_lease_and_body(queue: DeadlineQueue) -> None:
    await queue.put(entries(a_task(e2e_s=5), body=b"the body"))

    (taken,) = await queue.claim([claim_of()])

    assert taken is not None
    lease, body = taken
    assert (lease.task_id, lease.worker, lease.to_partition) == (ONE, "worker-1/a", 3)
    assert lease.at == 12.25
    assert lease.fence.epoch == 1
    assert body == b"the body"


async def test_a_task_can_be_claimed_only_once(queue: DeadlineQueue) -> None:
    await queue.put(entries(a_task()))

    answers = await queue.claim([claim_of(), claim_of(worker="worker-2/a")])

    assert [answer is None for answer in answers] == [False, True]
    assert await queue.claim([claim_of()]) == [None]


async def test_an_unknown_task_cannot_be_claimed(queue: DeadlineQueue) -> None:
    assert await queue.claim([claim_of("nobody")]) == [None]


async def test_a_batch_of_nothing_is_nothing(queue: DeadlineQueue) -> None:
    assert await queue.put([]) == []
    assert await queue.claim([]) == []
    await queue.told([])


async def test_each_lease_has_a_newer_fence_than_all_before(
    store: Store, queue: DeadlineQueue
) -> None:
    await queue.put(entries(a_task("a"), a_task("b")))
    first = await claimed(queue, claim_of("a"))
    await queue.requeue(a_task("a"), first)
    second = await claimed(queue, claim_of("a"))
    successor = store.queue()
    await successor.open(2)
    third = await claimed(successor, claim_of("b"))

    assert first < second < third


@pytest.mark.parametrize("body", [b"", b"\x00\xff", b"def f(): ...\n" * 20_000])
async def test_a_body_comes_back_byte_by_byte(queue: DeadlineQueue, body: bytes) -> None:
    await queue.put(entries(a_task(), body=body))

    (taken,) = await queue.claim([claim_of()])

    assert await queue.body(ONE) == body
    assert taken is not None
    assert taken[1] == body


async def test_a_body_goes_with_its_task(queue: DeadlineQueue) -> None:
    await queue.put(entries(a_task()))

    await queue.settle(ONE, None, b"done")

    assert await queue.body(ONE) is None


async def test_a_task_whose_body_ran_out_cannot_be_claimed(store: Store) -> None:
    queue = store.queue(body_ttl_s=1)
    await queue.open(1)
    await queue.put(entries(a_task()))

    async with asyncio.timeout(WITHIN_S):
        while await queue.body(ONE) is not None:  # noqa: ASYNC110 - only asking can tell
            await asyncio.sleep(0.05)

    assert await queue.claim([claim_of()]) == [None]
    assert await queue.settle(ONE, None, b"failed")


async def test_a_task_is_given_back_with_new_facts(store: Store, queue: DeadlineQueue) -> None:
    await queue.put(entries(a_task()))
    fence = await claimed(queue, claim_of())
    again = replace(a_task(), attempts=1)

    assert await queue.requeue(again, fence)

    assert (await store.queue().open(1)).waiting == (again,)
    assert await claimed(queue, claim_of()) > fence


async def test_only_the_holder_of_the_lease_can_give_a_task_back(queue: DeadlineQueue) -> None:
    await queue.put(entries(a_task()))
    stale = await claimed(queue, claim_of())
    await queue.requeue(a_task(), stale)
    assert not await queue.requeue(a_task(), stale)

    await queue.claim([claim_of()])

    assert not await queue.requeue(a_task(), stale)


async def test_only_the_first_ending_counts(queue: DeadlineQueue) -> None:
    await queue.put(entries(a_task()))
    fence = await claimed(queue, claim_of())

    assert await queue.settle(ONE, fence, b"first")
    assert not await queue.settle(ONE, fence, b"first")
    assert not await queue.settle(ONE, None, b"second")

    assert (await queue.open(1)).endings == ((ONE, b"first"),)


async def test_a_stale_fence_settles_nothing(queue: DeadlineQueue) -> None:
    await queue.put(entries(a_task()))
    stale = await claimed(queue, claim_of())
    await queue.requeue(a_task(), stale)

    assert not await queue.settle(ONE, stale, b"while it waits")
    current = await claimed(queue, claim_of())
    assert not await queue.settle(ONE, stale, b"while it runs")

    assert await queue.settle(ONE, current, b"done")


@pytest.mark.parametrize("is_running", [False, True])
async def test_without_a_fence_a_task_ends_wherever_it_is(
    queue: DeadlineQueue, is_running: bool
) -> None:
    await queue.put(entries(a_task()))
    if is_running:
        await queue.claim([claim_of()])

    assert await queue.settle(ONE, None, b"cancelled")

    after = await queue.open(1)
    assert (after.waiting, after.running) == ((), ())
    assert await queue.claim([claim_of()]) == [None]


async def test_what_was_never_put_cannot_end(queue: DeadlineQueue) -> None:
    assert not await queue.settle(ONE, None, b"cancelled")
    assert not await queue.settle(ONE, Fence(1, 1), b"done")


async def test_an_ending_is_kept_until_it_was_told(store: Store, queue: DeadlineQueue) -> None:
    await queue.put(entries(a_task("a"), a_task("b")))
    await queue.settle(TaskId("a"), None, b"end of a")
    await queue.settle(TaskId("b"), None, b"end of b")

    await queue.told([TaskId("a"), TaskId("never")])

    assert (await store.queue().open(2)).endings == (("b", b"end of b"),)


async def test_a_cancellation_that_came_first_is_remembered(queue: DeadlineQueue) -> None:
    await queue.bar(ONE)

    assert await queue.put(entries(a_task())) == [Put.CANCELLED]
    assert await queue.put(entries(a_task())) == [Put.CANCELLED]


async def test_a_task_cancelled_before_it_came_can_end_once(queue: DeadlineQueue) -> None:
    await queue.bar(ONE)
    await queue.put(entries(a_task()))

    assert await queue.settle(ONE, None, b"cancelled")
    assert not await queue.settle(ONE, None, b"cancelled")

    assert await queue.put(entries(a_task())) == [Put.KNOWN]
