"""What the scheduler promises where its policy paces dispatches and gives up what only harms."""

import asyncio
from dataclasses import replace

from shared.domain.outcome import Outcome
from shared.messages.catalogue import TaskDispatched
from shared.scheduling.beginnings import TOKENS
from tests.builders import REFERENCE, a_task
from tests.stories.scheduling import Pool, ScriptedWorker

_SECOND = 25_000  # tokens that the reference engine prefills in a second
_DISPATCH_S = 0.003


async def _submit_two(pool: Pool) -> None:
    now = pool.clock.now()
    first, second = (
        a_task(name, received_at=now + n, ttft_s=100, prompt_tokens=_SECOND // 20)
        for n, name in enumerate(("first", "second"))
    )
    await pool.submit(first, second)


async def test_a_worker_is_sent_its_next_task_when_it_has_nearly_prefilled_the_last() -> None:
    async with Pool.open(policy="cato") as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await _submit_two(pool)
        await pool.until(lambda: len(worker.mine()) == 1, within_s=1, saying="the first is sent")
        sent_at = pool.clock.now()
        await pool.until(lambda: len(worker.mine()) == 2, within_s=1, saying="the second is sent")

        assert [each.task.id for each in worker.mine()] == ["first", "second"]
        assert 0.03 < pool.clock.now() - sent_at < 0.1


async def test_a_dispatch_that_takes_twice_as_long_still_finds_its_worker_busy() -> None:
    async with Pool.open(policy="cato") as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await _submit_two(pool)
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


async def test_once_engines_say_that_they_cache_a_prompt_goes_where_its_beginning_is() -> None:
    async with Pool.open(policy="cato") as pool:
        workers = [await ScriptedWorker(pool=pool, name=f"worker-{n}").start() for n in range(2)]

        async def went_to(id: str, beginning: int, *, cached_tokens: int) -> str:
            now = pool.clock.now()
            task = a_task(id, received_at=now, ttft_s=1, prompt_tokens=_SECOND // 50)
            await pool.submit(replace(task, beginnings=(beginning,)))
            await pool.until(
                lambda: any(one.task.id == id for one in pool.told(TaskDispatched)),
                within_s=0.5,
                saying="it is sent",
            )
            worker = next(each for each in workers if id in [one.task.id for one in each.mine()])
            await worker.take(id)
            await worker.end(id, cached_tokens=cached_tokens)
            await pool.until(lambda: id in pool.outcomes(), within_s=0.5, saying="it ends")
            return worker.name

        unknown = {await went_to(f"early-{n}", 1, cached_tokens=0) for n in range(4)}
        for n in range(12):
            await went_to(f"learning-{n}", 1, cached_tokens=TOKENS[0])
        known = {await went_to(f"later-{n}", 2, cached_tokens=TOKENS[0]) for n in range(4)}

        believed = {str(one.task.id): one.cached_tokens for one in pool.told(TaskDispatched)}
        assert (len(unknown), len(known)) == (2, 1)
        assert believed["early-0"] == 0 < believed["later-3"]
