"""Pools share Kafka and nothing else: what befalls one is no concern of another."""

import contextlib
from collections.abc import AsyncIterator
from functools import partial

from shared.domain.outcome import Attempt, Outcome
from shared.domain.task import TaskId
from shared.messages.catalogue import TaskCancelled
from shared.messages.pool import BacklogReported, DeadLettered
from tests.builders import a_task
from tests.stories.scheduling import Pool, ScriptedWorker


@contextlib.asynccontextmanager
async def two_pools() -> AsyncIterator[tuple[Pool, Pool]]:
    """The usual one and `large`, each with a scheduler that leads."""
    async with Pool.open() as usual, Pool.open(beside=usual) as large:
        yield usual, large


async def a_worker(pool: Pool, name: str, slots: int = 4) -> ScriptedWorker:
    return await ScriptedWorker(pool=pool, name=name, model=pool.model, slots=slots).start()


def queued(pool: Pool) -> int:
    """As the pool last reported it."""
    reports = [each for each in pool.told(BacklogReported) if each.model == pool.model]
    return sum(each.queued for each in reports[-1].classes.values()) if reports else 0


def was_sent(worker: ScriptedWorker, times: int) -> bool:
    return len(worker.mine()) == times


async def test_a_task_goes_to_a_worker_of_its_own_model() -> None:
    async with two_pools() as (usual, large):
        small_worker = await a_worker(usual, "small-1")
        large_worker = await a_worker(large, "large-1")

        await usual.submit(a_task("to-small"), a_task("to-large", model="large"))
        await small_worker.take("to-small")
        await large_worker.take("to-large")

        assert [one.task.id for one in small_worker.mine()] == ["to-small"]
        assert [one.task.id for one in large_worker.mine()] == ["to-large"]


async def test_workers_of_different_pools_are_seated_apart() -> None:
    async with two_pools() as (usual, large):
        small_worker = await a_worker(usual, "worker-1")
        large_worker = await a_worker(large, "worker-2")

        assert small_worker.admitted != large_worker.admitted


async def test_one_pool_drowning_in_work_delays_nobody_in_the_other() -> None:
    async with two_pools() as (usual, large):
        small_worker = await a_worker(usual, "small-1")
        await a_worker(large, "large-1", slots=1)
        now = usual.clock.now()

        await usual.submit(
            *(a_task(f"long-{n}", model="large", received_at=now, e2e_s=600) for n in range(200)),
            a_task("quick", received_at=now, ttft_s=0.3),
        )
        await small_worker.take("quick")
        assert usual.clock.now() - now < 0.3
        await small_worker.end("quick")

        await usual.until(lambda: queued(large) > 190, within_s=1, saying="the other one is full")
        assert usual.outcomes() == {"quick": Outcome.COMPLETED}
        assert queued(usual) == 0


async def test_a_pool_without_a_scheduler_waits_while_the_other_goes_on() -> None:
    async with two_pools() as (usual, large):
        small_worker = await a_worker(usual, "small-1")
        large_worker = await a_worker(large, "large-1")
        await large.kill("scheduler-1")
        now = usual.clock.now()

        await usual.submit(
            a_task("to-small", received_at=now),
            a_task("to-large", model="large", received_at=now, e2e_s=60),
        )
        await small_worker.take("to-small")
        await small_worker.end("to-small")
        await large.crown("scheduler-2")
        await large_worker.take("to-large")
        await large_worker.end("to-large")

        await usual.until(
            lambda: len(usual.outcomes()) == 2, within_s=2, saying="both tasks are settled"
        )
        assert usual.outcomes()["to-large"] is Outcome.COMPLETED


async def test_what_is_cancelled_in_one_pool_is_not_remembered_by_the_other() -> None:
    async with two_pools() as (usual, large):
        cancelled = TaskCancelled(task_id=TaskId("early"), at=usual.clock.now(), model="large")

        await usual.bus.publish(cancelled)

        await usual.until(
            lambda: "early" in large.store.barred_until, within_s=1, saying="its pool remembers it"
        )
        assert "early" not in usual.store.barred_until


async def test_what_dies_in_one_pool_is_told_once() -> None:
    async with two_pools() as (usual, large):
        await a_worker(usual, "small-1")
        large_worker = await a_worker(large, "large-1")
        now = usual.clock.now()
        await usual.submit(a_task("doomed", model="large", received_at=now, e2e_s=60))

        for attempts in (1, 2, 3):
            await usual.until(
                partial(was_sent, large_worker, attempts),
                within_s=5,
                saying=f"it is sent for the {attempts}. time",
            )
            await large_worker.take("doomed")
            await large_worker.end("doomed", Attempt.FAILED)

        await usual.until(lambda: "doomed" in usual.outcomes(), within_s=5, saying="it has ended")
        assert usual.outcomes() == {"doomed": Outcome.DEAD_LETTERED}
        assert len(usual.told(DeadLettered)) == 1
