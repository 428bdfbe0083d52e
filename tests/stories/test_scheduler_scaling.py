"""What the scheduler promises to whoever decides how many workers there are."""

from shared.messages.pool import BacklogReported
from tests.builders import a_task
from tests.stories.scheduling import Pool, ScriptedWorker

_MINUTE = 1_500_000  # tokens that the reference engine prefills in a minute


def needed(pool: Pool) -> int:
    reports = pool.told(BacklogReported)
    return (reports[-1].needed or 0) if reports else 0


async def test_an_idle_pool_needs_nobody() -> None:
    async with Pool.open() as pool:
        await ScriptedWorker(pool=pool).start()

        await pool.until(
            lambda: any(report.workers for report in pool.told(BacklogReported)),
            within_s=2,
            saying="the worker is reported",
        )

        assert needed(pool) == 0


async def test_work_that_one_worker_cannot_do_in_time_calls_for_more() -> None:
    async with Pool.open() as pool:
        await ScriptedWorker(pool=pool, slots=1).start()
        now = pool.clock.now()
        long = (
            a_task(f"task-{n}", received_at=now, e2e_s=120, prompt_tokens=_MINUTE) for n in range(5)
        )

        await pool.submit(*long)

        await pool.until(lambda: needed(pool) > 2, within_s=5, saying="more workers are called for")


async def test_work_that_comes_is_counted_once_however_often_it_is_read() -> None:
    async with Pool.open() as pool:
        now = pool.clock.now()
        task = a_task("task", received_at=now, e2e_s=100, prompt_tokens=_MINUTE)

        await pool.submit(task)
        await pool.until(lambda: needed(pool) > 0, within_s=5, saying="a worker is called for")
        once = needed(pool)
        await pool.submit(*[task] * 20)
        before = len(pool.told(BacklogReported))
        await pool.until(
            lambda: len(pool.told(BacklogReported)) > before + 15, within_s=5, saying="it was read"
        )

        assert needed(pool) <= once
