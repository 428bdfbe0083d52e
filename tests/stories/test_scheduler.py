"""What the scheduler promises about every task it was given."""

import asyncio

from shared.domain.outcome import Attempt, Outcome
from shared.messages.catalogue import TaskClassified, TaskDispatched, TaskEnded
from shared.messages.pool import BacklogReported
from tests.builders import a_task
from tests.stories.scheduling import Pool, ScriptedWorker, revoked


async def test_a_task_answered_in_time_has_kept_its_promise() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await pool.submit(a_task("t", received_at=pool.clock.now(), ttft_s=1))

        await worker.take("t")
        await worker.end("t")
        await pool.until(lambda: "t" in pool.outcomes(), within_s=1, saying="t ends")

        assert pool.outcomes() == {"t": Outcome.COMPLETED}
        await pool.until(lambda: not pool.store.endings, within_s=1, saying="the outbox is struck")


async def test_a_task_answered_after_its_promise_is_late() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await pool.submit(a_task("t", received_at=pool.clock.now(), ttft_s=1))

        await worker.take("t")
        await asyncio.sleep(1.5)
        await worker.end("t")
        await pool.until(lambda: "t" in pool.outcomes(), within_s=1, saying="t ends")

        assert pool.outcomes() == {"t": Outcome.LATE}


async def test_a_worthless_task_is_given_up_on_record_without_any_worker() -> None:
    async with Pool.open() as pool:
        await pool.submit(a_task("t", received_at=pool.clock.now(), ttft_s=1, useful_s=1))

        await pool.until(lambda: "t" in pool.outcomes(), within_s=2, saying="t is given up")

        assert pool.outcomes() == {"t": Outcome.EXPIRED}


async def test_a_record_read_twice_makes_one_task() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        task = a_task("t", received_at=pool.clock.now(), ttft_s=1)

        await pool.submit(task, task)
        await worker.take("t")
        await worker.end("t")
        await pool.until(lambda: "t" in pool.outcomes(), within_s=1, saying="t ends")
        await pool.submit(task)
        await asyncio.sleep(1)

        assert pool.outcomes() == {"t": Outcome.COMPLETED}
        assert len(worker.mine()) == 1


async def test_a_queued_task_is_cancelled_before_any_worker_sees_it() -> None:
    async with Pool.open() as pool:
        await pool.submit(a_task("t", received_at=pool.clock.now(), ttft_s=1))
        await asyncio.sleep(0.1)

        await pool.cancel("t")
        await pool.until(lambda: "t" in pool.outcomes(), within_s=1, saying="t ends")

        assert pool.outcomes() == {"t": Outcome.CANCELLED}
        assert pool.told(TaskDispatched) == []


async def test_a_cancellation_that_overtakes_its_task_still_counts() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await pool.cancel("t")
        await asyncio.sleep(0.1)

        await pool.submit(a_task("t", received_at=pool.clock.now(), ttft_s=1))
        await pool.until(lambda: "t" in pool.outcomes(), within_s=1, saying="t ends")

        assert pool.outcomes() == {"t": Outcome.CANCELLED}
        assert worker.mine() == []


async def test_a_running_task_that_is_cancelled_is_revoked_at_once() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await pool.submit(a_task("t", received_at=pool.clock.now(), ttft_s=1))
        await worker.take("t")

        await pool.cancel("t")
        await pool.until(lambda: "t" in pool.outcomes(), within_s=0.1, saying="t ends")
        await worker.end("t", Attempt.ABORTED)
        await asyncio.sleep(0.5)

        assert revoked(pool) == {"t"}
        assert pool.outcomes() == {"t": Outcome.CANCELLED}


async def test_a_newer_completion_of_the_same_session_replaces_the_older_one() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        now = pool.clock.now()
        await pool.submit(a_task("old", received_at=now, ttft_s=1, session="editor"))
        await worker.take("old")

        await pool.submit(
            a_task("new", received_at=now + 0.1, ttft_s=1, session="editor"),
            a_task("other", received_at=now + 0.1, ttft_s=1, session="another editor"),
        )
        await worker.take("new")

        assert pool.outcomes() == {"old": Outcome.SUPERSEDED}
        assert revoked(pool) == {"old"}


async def test_an_older_completion_that_arrives_late_is_the_one_replaced() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        now = pool.clock.now()
        await pool.submit(a_task("new", received_at=now, ttft_s=1, session="editor"))
        await worker.take("new")

        await pool.submit(a_task("old", received_at=now - 0.1, ttft_s=1, session="editor"))
        await pool.until(lambda: "old" in pool.outcomes(), within_s=1, saying="old ends")

        assert pool.outcomes() == {"old": Outcome.SUPERSEDED}
        assert [one.task.id for one in worker.mine()] == ["new"]


async def test_the_backlog_tells_how_long_a_newcomer_would_wait() -> None:
    async with Pool.open() as pool:
        await ScriptedWorker(pool=pool, slots=1).start()
        now = pool.clock.now()

        await pool.submit(
            *[a_task(f"t{n}", received_at=now, ttft_s=9, prompt_tokens=25_000) for n in range(4)]
        )
        await asyncio.sleep(0.3)

        backlog = pool.told(BacklogReported)[-1].classes
        (told,) = backlog.values()
        assert told.queued == 3
        assert 2.5 < told.wait_s < 4.5


async def test_an_ending_says_what_the_dashboards_need() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await pool.submit(a_task("t", received_at=pool.clock.now(), ttft_s=1))

        await worker.take("t")
        await asyncio.sleep(0.25)
        await worker.end("t")
        await pool.until(lambda: "t" in pool.outcomes(), within_s=1, saying="t ends")

        (ending,) = pool.told(TaskEnded)
        assert ending.ttft_s is not None
        assert 0.25 <= ending.ttft_s < 0.5
        assert ending.attempts == 1
        assert ending.partition() == ending.reply_to.partition
        assert ending.topic() != TaskClassified.base_topic
