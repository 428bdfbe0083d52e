"""A chain survives what befalls its workers, its scheduler and the store that it lies in."""

import asyncio

from shared.domain.outcome import Attempt, Outcome
from shared.messages.pool import DeadLettered
from tests.stories.chains import DRAFT, PARTS, SUMMARY, WHOLE, begin, ended, taken
from tests.stories.scheduling import Pool, ScriptedWorker


async def test_a_step_whose_worker_is_lost_is_asked_again_even_when_it_had_begun_to_speak() -> None:
    async with Pool.open() as pool:
        lost = await ScriptedWorker(pool=pool, name="lost").start()
        await begin(pool, SUMMARY, DRAFT)
        first = await lost.take("chain.0.0")
        lost.streamed.add(first.task.id)
        await asyncio.sleep(0.3)
        await lost.vanish()

        other = await ScriptedWorker(pool=pool, name="other").start()
        await other.take("chain.0.0")
        await other.end("chain.0.0", output="again")
        await other.take("chain.1.0")
        await other.end("chain.1.0", output="done")

        assert (await ended(pool)).outcome is Outcome.COMPLETED


async def test_a_step_that_fails_too_often_is_the_end_of_its_chain() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await begin(pool, PARTS, WHOLE)
        for time in (1, 2, 3):
            await taken(worker, "chain.0.1", time=time)
            await worker.end("chain.0.1", Attempt.FAILED)
        ending = await ended(pool)

        assert ending.outcome is Outcome.DEAD_LETTERED
        assert [letter.task_id for letter in pool.told(DeadLettered)] == ["chain"]
        assert not pool.store.tasks


async def test_a_worker_of_the_version_before_brings_no_answer_and_is_not_trusted() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await begin(pool, SUMMARY, DRAFT)
        for time in (1, 2, 3):
            await taken(worker, "chain.0.0", time=time)
            await worker.end("chain.0.0")

        ending = await ended(pool)
        assert ending.outcome is Outcome.DEAD_LETTERED
        assert "no answer" in (ending.error or "")


async def test_an_answer_told_twice_moves_the_chain_once() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await begin(pool, SUMMARY, DRAFT)
        first = await worker.take("chain.0.0")
        await worker.end("chain.0.0", output="one")
        worker.running[first.task.id] = first
        await worker.end("chain.0.0", output="two")
        await worker.take("chain.1.0")
        await asyncio.sleep(0.5)

        assert [one.task.id for one in worker.mine()] == ["chain.0.0", "chain.1.0"]


async def test_a_chain_goes_on_when_redis_was_away_between_two_steps() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await begin(pool, SUMMARY, DRAFT)
        await worker.take("chain.0.0")

        pool.outage.fails["keep"] = 3
        await worker.end("chain.0.0", output="one")
        await worker.take("chain.1.0")
        await worker.end("chain.1.0", output="done")

        assert (await ended(pool)).outcome is Outcome.COMPLETED


async def test_a_new_leader_goes_on_where_the_dead_one_left_a_chain() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await begin(pool, SUMMARY, DRAFT)
        await worker.take("chain.0.0")
        await worker.end("chain.0.0", output="one")
        await worker.take("chain.1.0")

        await pool.kill("scheduler-1")
        await pool.crown("scheduler-2")
        await worker.end("chain.1.0", output="done")

        ending = await ended(pool, within_s=5)
        assert ending.outcome is Outcome.COMPLETED
        assert len(worker.mine()) == 2, "nothing was asked twice"


async def test_a_leader_killed_between_two_steps_leaves_a_chain_that_goes_on() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await begin(pool, SUMMARY, DRAFT)
        first = await worker.take("chain.0.0")
        await pool.kill("scheduler-1")
        (step,) = [task for task in pool.store.tasks.values() if task.step is not None]
        await worker.end("chain.0.0", output="one")
        pool.store.tasks.pop(step.id)
        pool.store.leases.pop(step.id)
        pool.store.answers = {}

        await pool.crown("scheduler-2")
        again = await taken(worker, "chain.0.0", time=2)
        assert again.fence > first.fence
        await worker.end("chain.0.0", output="one")
        await worker.take("chain.1.0")
        await worker.end("chain.1.0", output="done")

        assert (await ended(pool, within_s=5)).outcome is Outcome.COMPLETED


async def test_a_chain_begins_anew_when_redis_has_lost_its_memory() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await begin(pool, SUMMARY, DRAFT, e2e_s=60)
        await worker.take("chain.0.0")
        await worker.end("chain.0.0", output="one")
        before = await worker.take("chain.1.0")
        worker.running.clear()

        pool.store.lose_everything()
        await taken(worker, "chain.0.0", time=2)
        await worker.end("chain.0.0", output="one more")
        await taken(worker, "chain.1.0", time=2)
        await worker.end("chain.1.0", output="done")

        ending = await ended(pool)
        assert ending.outcome is Outcome.COMPLETED
        assert ending.fence > before.fence
