"""What the scheduler promises where its policy paces dispatches and gives up what only harms."""

import asyncio

from services.scheduler.scheduler import Knobs
from shared.domain.outcome import Outcome
from tests.builders import REFERENCE, a_task
from tests.stories.scheduling import Pool, ScriptedWorker

_SECOND = 25_000  # tokens that the reference engine prefills in a second
_DISPATCH_S = 0.003


async def test_a_worker_is_sent_its_next_task_when_it_has_nearly_prefilled_the_last() -> None:
    async with Pool.open(policy="cato") as pool:
        worker = await ScriptedWorker(pool=pool).start()
        now = pool.clock.now()
        first, second = (
            a_task(name, received_at=now + n, ttft_s=100, prompt_tokens=_SECOND // 20)
            for n, name in enumerate(("first", "second"))
        )

        await pool.submit(first, second)
        await pool.until(lambda: len(worker.mine()) == 1, within_s=1, saying="the first is sent")
        sent_at = pool.clock.now()
        await pool.until(lambda: len(worker.mine()) == 2, within_s=1, saying="the second is sent")

        assert [each.task.id for each in worker.mine()] == ["first", "second"]
        assert 0.03 < pool.clock.now() - sent_at < 0.1


async def test_a_dispatch_that_takes_twice_as_long_still_finds_its_worker_busy() -> None:
    async with Pool.open(policy="cato") as pool:
        worker = await ScriptedWorker(pool=pool).start()
        now = pool.clock.now()
        first, second = (
            a_task(name, received_at=now + n, ttft_s=100, prompt_tokens=_SECOND // 20)
            for n, name in enumerate(("first", "second"))
        )

        await pool.submit(first, second)
        await pool.until(lambda: len(worker.mine()) == 2, within_s=1, saying="both are sent")

        sent, next_sent = (each.dispatched_at for each in worker.mine())
        drained_at = sent + _DISPATCH_S + REFERENCE.first_token_s(_SECOND // 20)
        assert next_sent + 2 * _DISPATCH_S < drained_at


async def test_a_task_that_could_only_come_too_late_is_shed_at_once() -> None:
    async with Pool.open(policy="cato") as pool:
        worker = await ScriptedWorker(pool=pool).start()
        now = pool.clock.now()

        await pool.submit(
            a_task("hopeless", received_at=now, ttft_s=0.3, useful_s=0.3, prompt_tokens=_SECOND)
        )
        await pool.until(lambda: "hopeless" in pool.outcomes(), within_s=0.1, saying="it is shed")

        assert pool.outcomes() == {"hopeless": Outcome.SHED}
        assert worker.mine() == []


async def test_a_task_that_can_only_be_late_is_still_answered_while_it_is_worth_something() -> None:
    async with Pool.open(policy="cato") as pool:
        worker = await ScriptedWorker(pool=pool).start()
        now = pool.clock.now()

        await pool.submit(a_task("late", received_at=now - 2, ttft_s=1, useful_s=60))
        await worker.take("late")
        await asyncio.sleep(0)
        await worker.end("late")
        await pool.until(lambda: "late" in pool.outcomes(), within_s=1, saying="it ends")

        assert pool.outcomes() == {"late": Outcome.LATE}


async def test_an_editor_s_next_prompt_goes_to_the_worker_that_knows_its_beginning() -> None:
    async with Pool.open(policy="cato", knobs=Knobs(prefix_share=0.75)) as pool:
        workers = [await ScriptedWorker(pool=pool, name=f"worker-{n}").start() for n in range(2)]

        for number in range(4):
            now = pool.clock.now()
            await pool.submit(
                a_task(
                    f"task-{number}",
                    received_at=now,
                    ttft_s=1,
                    prompt_tokens=_SECOND // 10,
                    session="editor-1",
                )
            )
            await pool.until(
                lambda: sum(len(worker.mine()) for worker in workers) > number,  # noqa: B023
                within_s=0.5,
                saying="it is sent",
            )

        assert sorted(len(worker.mine()) for worker in workers) == [0, 4]
