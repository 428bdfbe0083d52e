"""What the scheduler promises when workers vanish, leaders die and Redis forgets."""

import asyncio
import base64

from services.scheduler.scheduler import Knobs
from shared.adapters.handover import DeadLetters, RawRecord
from shared.domain.outcome import Attempt, Outcome
from shared.domain.task import TaskId
from shared.messages.body import Body
from shared.messages.catalogue import TaskEnded, TaskSubmitted
from shared.messages.pool import BacklogReported, DeadLettered
from tests.builders import HERE, a_task
from tests.stories.scheduling import Garbage, Pool, ScriptedWorker


async def test_tasks_of_a_vanished_worker_start_again_elsewhere() -> None:
    async with Pool.open() as pool:
        first = await ScriptedWorker(pool=pool, name="first").start()
        await pool.submit(a_task("t", received_at=pool.clock.now(), e2e_s=60))
        lost = await first.take("t")
        await first.vanish()
        second = await ScriptedWorker(pool=pool, name="second").start()

        again = await second.take("t")
        await first.end("t")
        await asyncio.sleep(0.2)
        assert pool.outcomes() == {}, "a fenced-off worker was heard"
        await second.end("t")
        await pool.until(lambda: "t" in pool.outcomes(), within_s=1, saying="t ends")

        assert again.fence > lost.fence
        assert pool.outcomes() == {"t": Outcome.COMPLETED}


async def test_what_the_client_has_begun_to_read_never_runs_again() -> None:
    async with Pool.open() as pool:
        first = await ScriptedWorker(pool=pool, name="first").start()
        second = await ScriptedWorker(pool=pool, name="second", slots=1).start()
        await pool.submit(a_task("t", received_at=pool.clock.now(), e2e_s=60))
        await first.take("t")
        first.streamed.add(first.mine()[0].task.id)
        await asyncio.sleep(0.2)

        await first.vanish()
        await pool.until(lambda: "t" in pool.outcomes(), within_s=5, saying="t ends")

        assert pool.outcomes() == {"t": Outcome.FAILED}
        assert second.mine() == []


async def test_a_restarted_worker_does_not_keep_the_tasks_of_its_former_life() -> None:
    async with Pool.open() as pool:
        former = await ScriptedWorker(pool=pool).start()
        await pool.submit(a_task("t", received_at=pool.clock.now(), e2e_s=60))
        await former.take("t")
        await former.vanish()

        present = await ScriptedWorker(pool=pool, incarnation="2").start()
        await present.take("t")

        assert pool.clock.now() < 1003, "nobody waited for the lease to run out"


async def test_a_task_that_fails_on_every_worker_becomes_a_dead_letter() -> None:
    async with Pool.open(knobs=Knobs(attempts=2)) as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await pool.submit(a_task("t", received_at=pool.clock.now(), e2e_s=60))

        for _ in range(2):
            await worker.take("t")
            await worker.end("t", Attempt.FAILED)
            await asyncio.sleep(0.05)

        assert pool.outcomes() == {"t": Outcome.DEAD_LETTERED}
        (letter,) = pool.told(DeadLettered)
        assert letter.task_id == "t"
        assert letter.reason == "started 2 times; the last time the engine said no"


async def test_a_task_that_no_engine_would_take_is_refused_and_not_tried_again() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await pool.submit(a_task("t", received_at=pool.clock.now(), e2e_s=60))

        await worker.take("t")
        await worker.end("t", Attempt.REFUSED)
        await pool.until(lambda: "t" in pool.outcomes(), within_s=1, saying="t ends")

        (ending,) = pool.told(TaskEnded)
        assert ending.outcome is Outcome.FAILED
        assert ending.is_refused
        assert len(worker.mine()) == 1


async def test_a_task_that_was_handed_back_unstarted_has_lost_no_attempt() -> None:
    async with Pool.open(knobs=Knobs(attempts=1)) as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await pool.submit(a_task("t", received_at=pool.clock.now(), e2e_s=60))

        await worker.take("t")
        await worker.end("t", Attempt.RETURNED)
        await pool.until(lambda: len(worker.mine()) == 2, within_s=1, saying="t comes back")

        assert pool.outcomes() == {}


async def test_a_dispatch_the_worker_never_lists_is_sent_again() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await pool.submit(a_task("t", received_at=pool.clock.now(), e2e_s=60))

        await pool.until(lambda: len(worker.mine()) >= 2, within_s=1, saying="t is sent again")

        first, second = worker.mine()[:2]
        assert first.fence == second.fence
        assert first.dispatched_at == second.dispatched_at, "it was decided once"


async def test_a_hot_standby_finishes_what_a_dead_leader_began() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool, slots=1).start()
        await pool.crown("scheduler-2")
        now = pool.clock.now()
        await pool.submit(
            a_task("running", received_at=now, e2e_s=60),
            a_task("queued", received_at=now, e2e_s=90),
        )
        await worker.take("running")

        await pool.kill("scheduler-1")
        await worker.end("running")
        await pool.until(lambda: "running" in pool.outcomes(), within_s=4, saying="a new leader")
        await worker.take("queued")
        await worker.end("queued")
        await pool.until(lambda: len(pool.outcomes()) == 2, within_s=1, saying="both end")

        assert set(pool.outcomes().values()) == {Outcome.COMPLETED}
        assert len(worker.mine()) == 2, "nothing was started twice"


async def test_a_new_leader_never_says_that_there_is_no_worker_before_it_has_listened() -> None:
    async with Pool.open() as pool:
        await ScriptedWorker(pool=pool).start()
        await asyncio.sleep(1)
        told_before = len(pool.told(BacklogReported))
        await pool.crown("scheduler-2")

        await pool.kill("scheduler-1")
        await asyncio.sleep(5)

        told_since = pool.told(BacklogReported)[told_before:]
        assert {report.epoch for report in told_since} == {0, 1}
        assert all(report.workers == 1 for report in told_since)


async def test_nothing_accepted_is_lost_when_redis_loses_its_memory() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool, slots=1).start()
        now = pool.clock.now()
        await pool.submit(*[a_task(f"t{n}", received_at=now, e2e_s=60 + n) for n in range(5)])
        await worker.take("t0")
        await worker.end("t0")
        running = await worker.take("t1")
        await asyncio.sleep(0.2)

        pool.store.lose_everything()
        await asyncio.sleep(5)
        await worker.end("t1")
        for n in (2, 3, 4):
            await worker.take(f"t{n}")
            await worker.end(f"t{n}")
        await pool.until(lambda: len(pool.outcomes()) == 5, within_s=5, saying="all end")

        assert set(pool.outcomes().values()) == {Outcome.COMPLETED}
        assert [one.fence for one in worker.mine() if one.task.id == "t1"] == [running.fence]


async def test_tasks_of_a_dead_ingress_are_cancelled_and_detached_ones_are_not() -> None:
    async with Pool.open() as pool:
        now = pool.clock.now()
        await pool.submit(
            a_task("held", received_at=now, e2e_s=600),
            a_task("native", received_at=now, e2e_s=600, detached=True),
        )

        pool.replies.leases.clear()
        await asyncio.sleep(10)
        assert pool.outcomes() == {}, "a short absence is forgiven"
        await pool.until(lambda: "held" in pool.outcomes(), within_s=10, saying="it is cancelled")

        assert pool.outcomes() == {"held": Outcome.CANCELLED}


async def test_garbage_on_the_topics_of_the_scheduler_stops_nothing() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        topics = ("tasks.ttft", "tasks.cancelled", "attempts.ended", "workers.reported")

        for topic in topics:
            await pool.bus.publish(Garbage(on=topic))
        await pool.submit(a_task("t", received_at=pool.clock.now(), ttft_s=1))
        await worker.take("t")
        await worker.end("t")
        await pool.until(lambda: "t" in pool.outcomes(), within_s=1, saying="t ends")

        assert {letter.source_topic for letter in pool.told(DeadLettered)} == set(topics)


async def test_a_task_that_dies_as_a_letter_before_it_was_queued_ends_all_the_same() -> None:
    async with Pool.open() as pool:
        body = Body(route="completions", prompt="def f():", max_tokens=8)
        submitted = TaskSubmitted(
            task_id=TaskId("t"),
            tenant="local",
            model="cato-demo",
            received_at=pool.clock.now(),
            reply_to=HERE,
            body=body,
        )

        await pool.bus.publish(
            DeadLettered(
                source_topic=submitted.topic(),
                source_partition=0,
                source_offset=0,
                reason="nobody could classify it",
                at=pool.clock.now(),
                task_id=submitted.task_id,
                value_base64=base64.b64encode(submitted.encode()).decode(),
            )
        )
        await pool.until(lambda: "t" in pool.outcomes(), within_s=1, saying="t ends")

        assert pool.outcomes() == {"t": Outcome.DEAD_LETTERED}


async def test_a_task_too_long_for_its_letter_ends_all_the_same() -> None:
    async with Pool.open() as pool:
        submitted = TaskSubmitted(
            task_id=TaskId("t"),
            tenant="local",
            model="cato-demo",
            received_at=pool.clock.now(),
            reply_to=HERE,
            body=Body(route="completions", prompt="x" * 1_500_000, max_tokens=8),
        )

        letters = DeadLetters(bus=pool.bus, clock=pool.clock)
        position = await (await pool.bus.publish(submitted))
        raw = RawRecord(position, submitted.encode(), {})
        await letters.bury(raw, reason="nobody could classify it", task_id=submitted.task_id)
        await pool.until(lambda: "t" in pool.outcomes(), within_s=1, saying="t ends")

        assert pool.outcomes() == {"t": Outcome.DEAD_LETTERED}


async def test_a_deposed_leader_buries_nothing() -> None:
    async with Pool.open() as pool:
        pool.store.epoch = 99

        await pool.submit(a_task("t", received_at=pool.clock.now(), e2e_s=60))
        await asyncio.sleep(1)

        assert pool.told(DeadLettered) == []
