"""What the scheduler promises when an act fails halfway: Kafka or Redis away, answers late."""

import asyncio
import base64
from dataclasses import replace

from shared.domain.outcome import Outcome
from shared.domain.task import TaskId
from shared.messages.body import Body
from shared.messages.catalogue import TaskDispatched, TaskEnded, TaskSubmitted
from shared.messages.pool import DeadLettered, WorkerAdmitted
from tests.builders import HERE, a_task
from tests.stories.scheduling import Pool, ScriptedWorker


async def test_an_ending_that_kafka_did_not_take_is_told_by_the_same_leader() -> None:
    async with Pool.open() as pool:
        await pool.submit(a_task("t", received_at=pool.clock.now(), e2e_s=600))
        await pool.until(lambda: "t" in pool.store.tasks, within_s=1, saying="t is queued")

        pool.bus.away = TaskEnded
        await pool.cancel("t")
        await pool.until(lambda: "t" in pool.store.endings, within_s=1, saying="t is settled")
        await asyncio.sleep(2)
        pool.bus.away = None
        await pool.until(lambda: "t" in pool.outcomes(), within_s=2, saying="t ends")

        assert pool.outcomes() == {"t": Outcome.CANCELLED}
        assert pool.store.epoch == 0, "nobody had to take over"
        await pool.until(lambda: not pool.store.endings, within_s=1, saying="the outbox is struck")


async def test_after_an_outage_of_kafka_nobody_waits_in_line_for_an_ending() -> None:
    async with Pool.open() as pool:
        now = pool.clock.now()
        await pool.submit(*[a_task(f"t{n}", received_at=now, e2e_s=600) for n in range(50)])
        await pool.until(lambda: len(pool.store.tasks) == 50, within_s=1, saying="all are queued")

        pool.bus.away = TaskEnded
        for n in range(50):
            await pool.cancel(f"t{n}")
        await pool.until(lambda: len(pool.store.endings) == 50, within_s=5, saying="all settled")
        pool.bus.away = None
        await pool.until(lambda: len(pool.outcomes()) == 50, within_s=2, saying="all end")


async def test_a_cancellation_is_kept_while_its_task_is_on_its_way_into_the_store() -> None:
    async with Pool.open() as pool:
        pool.outage.answers_after_s = 0.1
        await pool.submit(a_task("t", received_at=pool.clock.now(), e2e_s=600))
        await pool.until(lambda: "t" in pool.store.tasks, within_s=1, saying="t is in the store")

        await pool.cancel("t")
        await pool.until(lambda: "t" in pool.outcomes(), within_s=1, saying="t ends")

        assert pool.outcomes() == {"t": Outcome.CANCELLED}


async def test_tasks_read_together_with_one_that_could_not_be_welcomed_are_served() -> None:
    async with Pool.open() as pool:
        now = pool.clock.now()
        await pool.submit(a_task("older", received_at=now, ttft_s=60, session="tab"))
        await pool.until(lambda: "older" in pool.store.tasks, within_s=1, saying="older is queued")

        pool.outage.fails["settle"] = 1
        await pool.submit(
            a_task("newer", received_at=now + 1, ttft_s=60, session="tab"),
            *[a_task(f"t{n}", received_at=now, ttft_s=60) for n in range(8)],
        )
        worker = await ScriptedWorker(pool=pool, slots=16).start()
        for name in ("newer", *[f"t{n}" for n in range(8)]):
            await worker.take(name)

        assert pool.outcomes() == {"older": Outcome.SUPERSEDED}


async def test_attempts_that_end_together_are_concluded_once_though_one_fails_at_first() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        now = pool.clock.now()
        await pool.submit(*[a_task(f"t{n}", received_at=now, e2e_s=600) for n in range(3)])
        for n in range(3):
            await worker.take(f"t{n}")

        pool.outage.fails["settle"], pool.outage.answers_after_s = 1, 0.2
        for n in range(3):
            await worker.end(f"t{n}")
        await pool.until(lambda: len(pool.outcomes()) == 3, within_s=2, saying="all end")

        assert sorted(pool.outage.settled) == ["t0", "t1", "t2"]


async def test_what_was_claimed_and_could_not_be_sent_is_sent_later() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()

        pool.bus.away = TaskDispatched
        now = pool.clock.now()
        await pool.submit(*[a_task(f"t{n}", received_at=now, e2e_s=600) for n in range(3)])
        await asyncio.sleep(1)
        pool.bus.away = None
        for n in range(3):
            await worker.take(f"t{n}")

        assert pool.outcomes() == {}


async def test_a_worker_that_is_slow_to_read_is_not_buried_in_repetitions() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await pool.submit(a_task("t", received_at=pool.clock.now(), e2e_s=600))
        await asyncio.sleep(2.5)

        assert 2 <= len(worker.mine()) <= 4


async def test_no_task_of_a_lost_worker_is_forgotten_when_redis_fails_meanwhile() -> None:
    async with Pool.open() as pool:
        first = await ScriptedWorker(pool=pool, name="first").start()
        now = pool.clock.now()
        await pool.submit(*[a_task(f"t{n}", received_at=now, e2e_s=600) for n in range(3)])
        for n in range(3):
            await first.take(f"t{n}")

        await first.vanish()
        pool.outage.fails["requeue"] = 2
        second = await ScriptedWorker(pool=pool, name="second").start()
        for n in range(3):
            await second.take(f"t{n}")

        assert pool.outcomes() == {}


async def test_a_dead_letter_ends_its_task_though_redis_failed_at_first() -> None:
    async with Pool.open() as pool:
        pool.outage.fails["settle"] = 1
        await pool.bus.publish(a_letter("t", at=pool.clock.now()))
        await pool.until(lambda: "t" in pool.outcomes(), within_s=1, saying="t ends")

        assert pool.outcomes() == {"t": Outcome.DEAD_LETTERED}


async def test_a_pool_leaves_the_tasks_and_workers_of_other_models_alone() -> None:
    async with Pool.open() as pool:
        now = pool.clock.now()
        stranger = ScriptedWorker(pool=pool, name="stranger", model="another")
        await pool.bus.publish(stranger.report())
        await pool.submit(
            replace(a_task("t", received_at=now, ttft_s=1, useful_s=1), model="another")
        )
        await pool.bus.publish(a_letter("u", at=now, model="another"))
        await asyncio.sleep(3)

        assert pool.outcomes() == {}
        assert pool.told(WorkerAdmitted) == []


def a_letter(task_id: str, *, at: float, model: str = "cato-demo") -> DeadLettered:
    submitted = TaskSubmitted(
        task_id=TaskId(task_id),
        tenant="local",
        model=model,
        received_at=at,
        reply_to=HERE,
        body=Body(route="completions", prompt="def f():", max_tokens=8),
    )
    return DeadLettered(
        source_topic=submitted.topic(),
        source_partition=0,
        source_offset=0,
        reason="nobody could classify it",
        at=at,
        task_id=submitted.task_id,
        value_base64=base64.b64encode(submitted.encode()).decode(),
    )
