"""What the scheduler promises when an act fails halfway: Kafka or Redis away, answers late."""

import asyncio

from shared.domain.outcome import Outcome
from shared.messages.catalogue import TaskEnded
from tests.builders import a_task
from tests.stories.scheduling import Pool


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
