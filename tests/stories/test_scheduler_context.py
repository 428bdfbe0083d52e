"""The pool says how long a prompt may be, so that nobody queues who can never be served."""

from shared.messages.pool import BacklogReported
from tests.stories.scheduling import Pool, ScriptedWorker


def told(pool: Pool) -> int | None:
    reports = pool.told(BacklogReported)
    return reports[-1].context_tokens if reports else None


async def test_what_fits_one_worker_of_the_pool_fits_the_pool() -> None:
    async with Pool.open() as pool:
        await ScriptedWorker(pool=pool, name="short", context_tokens=4096).start()
        await ScriptedWorker(pool=pool, name="long", context_tokens=32_768).start()

        await pool.until(lambda: told(pool) == 32_768, within_s=2, saying="the longest is told")


async def test_nothing_is_said_where_one_worker_does_not_tell() -> None:
    async with Pool.open() as pool:
        await ScriptedWorker(pool=pool, name="short", context_tokens=4096).start()
        await pool.until(lambda: told(pool) == 4096, within_s=2, saying="its context is told")

        await ScriptedWorker(pool=pool, name="silent").start()

        await pool.until(lambda: told(pool) is None, within_s=2, saying="nobody knows any more")
