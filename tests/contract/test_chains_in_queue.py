"""What every deadline queue promises about chains; the integration suite asks a real Redis."""

from dataclasses import replace

import pytest

from shared.domain.task import Step, Task, TaskId
from shared.scheduling.queue import DeadlineQueue, Put
from tests.builders import a_task
from tests.contract.deadline_queues import Store, claim_of, claimed, entries

CHAIN = TaskId("chain")


def a_chain() -> Task:
    return replace(a_task("chain", e2e_s=20), stages=2)


def a_step(branch: int = 0, *, stage: int = 0) -> Task:
    return replace(
        a_task(f"chain.{stage}.{branch}", e2e_s=5),
        step=Step(chain=CHAIN, stage=stage, branch=branch),
    )


async def test_a_chain_and_its_steps_wait_with_all_their_facts(
    store: Store, queue: DeadlineQueue
) -> None:
    assert await queue.put(entries(a_chain(), a_step())) == [Put.QUEUED, Put.QUEUED]

    assert set((await store.queue().open(2)).waiting) == {a_chain(), a_step()}


async def test_a_step_that_is_over_is_gone_and_its_answer_kept(
    store: Store, queue: DeadlineQueue
) -> None:
    await queue.put(entries(a_chain(), a_step()))
    fence = await claimed(queue, claim_of("chain.0.0"))

    kept = await queue.keep(a_step(), fence, b"an answer")

    after = await store.queue().open(2)
    assert kept == {"chain.0.0": b"an answer"}
    assert after.waiting == (a_chain(),)
    assert after.running == ()
    assert after.answers == {CHAIN: {"chain.0.0": b"an answer"}}
    assert await queue.body(TaskId("chain.0.0")) is None


async def test_only_the_last_of_parallel_steps_sees_all_answers(queue: DeadlineQueue) -> None:
    await queue.put(entries(a_chain(), a_step(0), a_step(1)))
    fences = [await claimed(queue, claim_of(f"chain.0.{branch}")) for branch in (0, 1)]

    first = await queue.keep(a_step(1), fences[1], b"one")
    second = await queue.keep(a_step(0), fences[0], b"zero")

    assert first == {"chain.0.1": b"one"}
    assert second == {"chain.0.0": b"zero", "chain.0.1": b"one"}


async def test_an_answer_told_twice_is_kept_once_and_answered_alike(queue: DeadlineQueue) -> None:
    await queue.put(entries(a_chain(), a_step()))
    fence = await claimed(queue, claim_of("chain.0.0"))

    first = await queue.keep(a_step(), fence, b"an answer")

    assert await queue.keep(a_step(), fence, b"an answer") == first


async def test_a_stale_fence_keeps_nothing(queue: DeadlineQueue) -> None:
    await queue.put(entries(a_chain(), a_step()))
    stale = await claimed(queue, claim_of("chain.0.0"))
    await queue.requeue(a_step(), stale)

    assert await queue.keep(a_step(), stale, b"while it waits") is None
    await queue.claim([claim_of("chain.0.0")])
    assert await queue.keep(a_step(), stale, b"while it runs") is None

    assert (await queue.open(1)).answers == {CHAIN: {}}


@pytest.mark.parametrize("answer", [b"", b"\x00\xff", b"def f(): ...\n" * 20_000])
async def test_an_answer_comes_back_byte_by_byte(queue: DeadlineQueue, answer: bytes) -> None:
    await queue.put(entries(a_chain(), a_step()))
    fence = await claimed(queue, claim_of("chain.0.0"))

    assert await queue.keep(a_step(), fence, answer) == {"chain.0.0": answer}


async def test_all_that_a_chain_has_ends_with_it(store: Store, queue: DeadlineQueue) -> None:
    await queue.put(entries(a_chain(), a_step(0), a_step(1), a_step(2)))
    over = await claimed(queue, claim_of("chain.0.0"))
    await queue.keep(a_step(0), over, b"an answer")
    running = await claimed(queue, claim_of("chain.0.1"))

    living = [a_step(1).id, a_step(2).id]
    assert await queue.settle(CHAIN, None, b"cancelled", living)
    assert not await queue.settle(CHAIN, None, b"again", living)

    after = await store.queue().open(2)
    assert (after.waiting, after.running, after.answers) == ((), (), {})
    assert after.endings == ((CHAIN, b"cancelled"),)
    assert await store.queue().body(a_step(2).id) is None
    successor = store.queue()
    await successor.open(2)
    assert await successor.claim([claim_of("chain.0.2")]) == [None]
    assert await successor.keep(a_step(1), running, b"too late") is None


async def test_no_step_is_queued_for_a_chain_that_has_ended(queue: DeadlineQueue) -> None:
    await queue.put(entries(a_chain()))
    await queue.settle(CHAIN, None, b"cancelled")

    assert await queue.put(entries(a_step())) == [Put.KNOWN]
    assert (await queue.open(1)).waiting == ()
