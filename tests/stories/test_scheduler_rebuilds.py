"""What is put back when Redis has lost its memory: from where it is read, whom it waits for."""

import asyncio

from services.scheduler.watch import low_water_group
from shared.domain.task import LatencyClass
from shared.messages.catalogue import TaskClassified
from shared.messages.pool import WorkerReported
from tests.builders import HERE, a_task
from tests.stories.scheduling import Pool, ScriptedWorker


async def test_of_two_workers_that_run_a_task_a_rebuilt_store_believes_the_newer_fence() -> None:
    async with Pool.open() as pool:
        first = await ScriptedWorker(pool=pool, name="first").start()
        await pool.submit(a_task("t", received_at=pool.clock.now(), e2e_s=600))
        await first.take("t")
        await first.vanish()
        second = await ScriptedWorker(pool=pool, name="second").start()
        newer = await second.take("t")

        await first.start()
        pool.store.lose_everything()
        await pool.until(lambda: pool.store.is_sealed, within_s=5, saying="the store is rebuilt")

        assert pool.store.leases[newer.task.id].fence == newer.fence


async def test_a_rebuild_listens_only_from_when_it_hears() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await pool.submit(a_task("t", received_at=pool.clock.now(), e2e_s=600))
        await worker.take("t")
        await asyncio.sleep(0.2)

        pool.bus.connects_after_s = {WorkerReported: 1.0}
        pool.store.lose_everything()
        await asyncio.sleep(8)

        assert len(worker.mine()) == 1


async def test_a_worker_silent_for_less_than_its_lease_keeps_its_task_when_redis_forgets() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await pool.submit(a_task("t", received_at=pool.clock.now(), e2e_s=600))
        dispatched = await worker.take("t")
        worker.streamed.add(dispatched.task.id)
        await asyncio.sleep(0.5)

        await worker.vanish()
        pool.store.lose_everything()
        await asyncio.sleep(2.5)
        await worker.start()
        await asyncio.sleep(8)

        assert pool.outcomes() == {}
        assert len(worker.mine()) == 1


async def test_a_worker_that_died_with_the_memory_of_redis_is_not_waited_for_longer() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool, name="first").start()
        await pool.submit(a_task("t", received_at=pool.clock.now(), e2e_s=600))
        await worker.take("t")
        await asyncio.sleep(0.5)

        await worker.vanish()
        pool.store.lose_everything()
        second = await ScriptedWorker(pool=pool, name="second", admitted=1).start()
        await second.take("t")

        assert pool.outcomes() == {}


async def test_a_leader_that_never_led_waits_for_a_silent_worker_as_long_as_its_lease() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await pool.crown("scheduler-2")
        await pool.submit(a_task("t", received_at=pool.clock.now(), e2e_s=600))
        dispatched = await worker.take("t")
        worker.streamed.add(dispatched.task.id)

        await worker.vanish()
        await pool.kill("scheduler-1")
        pool.store.lose_everything()
        await asyncio.sleep(2.5)
        await worker.start()
        await asyncio.sleep(8)

        assert pool.outcomes() == {}
        assert len(worker.mine()) == 1


async def test_a_rebuild_reads_no_ending_that_is_older_than_what_lives() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await pool.submit(a_task("old", received_at=pool.clock.now(), e2e_s=60))
        await worker.take("old")
        await worker.end("old")
        await asyncio.sleep(400)

        await pool.submit(a_task("t", received_at=pool.clock.now(), e2e_s=60))
        await worker.take("t")
        pool.store.lose_everything()
        await pool.until(lambda: pool.store.is_sealed, within_s=5, saying="the store is rebuilt")

        assert pool.bus.replayed["tasks.ended"] == {HERE.partition: 1}


async def test_a_rebuild_would_begin_before_what_came_while_offsets_were_asked_for() -> None:
    async with Pool.open() as pool:
        pool.bus.offsets_after_s = 2
        await asyncio.sleep(1.5)

        await pool.submit(a_task("t", received_at=pool.clock.now(), ttft_s=600))
        await asyncio.sleep(2)

        topic = TaskClassified.topic_of(LatencyClass.TTFT)
        marks = await pool.bus.committed(topic, low_water_group(pool.model))
        assert marks
        assert not any(marks.values())
