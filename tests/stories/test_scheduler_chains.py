"""A chain is one task to its client: one deadline, one ending, whatever happens to its steps."""

import asyncio
from dataclasses import replace

import pytest

from shared.domain.outcome import Attempt, Outcome
from shared.messages.catalogue import TaskDispatched, TaskEnded
from shared.telemetry import names
from shared.telemetry.tracing import Memory, keep_spans
from tests.builders import a_task
from tests.stories.chains import (
    CODE,
    DRAFT,
    PARTS,
    REPAIR,
    SUMMARY,
    WHOLE,
    a_stage,
    begin,
    ended,
)
from tests.stories.scheduling import Pool, ScriptedWorker, revoked


def asked(dispatched: TaskDispatched) -> str:
    return dispatched.body.messages[-1].text()


async def test_what_a_step_answers_is_asked_about_in_the_next_one() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await begin(pool, SUMMARY, DRAFT)

        first = await worker.take("chain.0.0")
        await worker.end("chain.0.0", output="adds one to {input}")
        second = await worker.take("chain.1.0")
        await worker.end("chain.1.0", output="def g(x): ...")
        ending = await ended(pool)

        assert asked(first) == f"Sum up: {CODE}"
        assert asked(second) == f"To Python, knowing adds one to {{input}}: {CODE}"
        assert ending.outcome is Outcome.COMPLETED
        assert [(step.name, step.is_answer) for step in ending.steps] == [
            ("summary", False),
            ("draft", True),
        ]
        assert ending.fence == second.fence
        assert ending.usage is not None
        assert ending.usage.completion_tokens == 16


async def test_what_is_left_is_split_anew_after_each_step() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        chain = await begin(pool, SUMMARY, DRAFT)

        first = (await worker.take("chain.0.0")).task
        await worker.end("chain.0.0", output="short")
        second = (await worker.take("chain.1.0")).task

        assert chain.received_at < first.deadline_at < chain.deadline_at - 10
        assert second.deadline_at == pytest.approx(chain.deadline_at)


async def test_side_by_side_steps_run_together_and_meet_in_the_next() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await begin(pool, PARTS, WHOLE)
        for branch in (2, 0, 1):
            await worker.take(f"chain.0.{branch}")

        await worker.end("chain.0.2", output="third")
        await worker.end("chain.0.0", output="first")
        await asyncio.sleep(0.2)
        before = len(worker.mine())
        await worker.end("chain.0.1", output="second")
        overview = await worker.take("chain.1.0")
        await worker.end("chain.1.0", output="all of it")

        assert before == 3
        assert asked(overview) == "All: first\n\nsecond\n\nthird"
        assert (await ended(pool)).outcome is Outcome.COMPLETED


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "def g(x):\n    return x + 1"),
        ("go", "package g\n\nfunc Next(x int) int { return x + 1 }"),
    ],
)
async def test_code_that_parses_is_not_mended(language: str, code: str) -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await begin(pool, SUMMARY, DRAFT, replace(REPAIR, unless_parses=language))
        await worker.take("chain.0.0")
        await worker.end("chain.0.0", output="adds one")

        await worker.take("chain.1.0")
        await worker.end("chain.1.0", output=f"```{language}\n{code}\n```")
        ending = await ended(pool)

        assert [step.name for step in ending.steps if step.is_answer] == ["draft"]


@pytest.mark.parametrize(
    ("language", "broken", "mended"),
    [
        ("python", "def g(x) return", "def g(x): return x"),
        ("go", "func Next(x int) int {", "package g\n\nfunc Next(x int) int { return x + 1 }"),
    ],
)
async def test_code_that_does_not_parse_is_mended(language: str, broken: str, mended: str) -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await begin(pool, SUMMARY, DRAFT, replace(REPAIR, unless_parses=language))
        await worker.take("chain.0.0")
        await worker.end("chain.0.0", output="adds one")
        await worker.take("chain.1.0")
        await worker.end("chain.1.0", output=broken)

        repair = await worker.take("chain.2.0")
        await worker.end("chain.2.0", output=mended)
        ending = await ended(pool)

        assert asked(repair) == f"Mend: {broken}"
        assert [step.name for step in ending.steps if step.is_answer] == ["repair"]


async def test_a_chain_answered_after_its_promise_is_late() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await begin(pool, SUMMARY, DRAFT, e2e_s=4)
        await worker.take("chain.0.0")
        await worker.end("chain.0.0", output="quick")
        await worker.take("chain.1.0")
        await asyncio.sleep(5)
        await worker.end("chain.1.0", output="slow")

        assert (await ended(pool)).outcome is Outcome.LATE


async def test_a_chain_that_has_missed_its_promise_begins_no_further_step() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await begin(pool, SUMMARY, DRAFT, e2e_s=4)
        await worker.take("chain.0.0")
        await asyncio.sleep(5)
        await worker.end("chain.0.0", output="slow")
        ending = await ended(pool)

        assert ending.outcome in {Outcome.EXPIRED, Outcome.SHED}
        assert len(worker.mine()) == 1


async def test_a_cancelled_chain_takes_all_its_steps_with_it() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool, slots=2).start()
        await begin(pool, PARTS, WHOLE)
        running = [(await worker.take(f"chain.0.{branch}")).task.id for branch in (0, 1)]

        await pool.cancel("chain")
        ending = await ended(pool)
        for task_id in running:
            await worker.end(task_id, Attempt.ABORTED)
        await asyncio.sleep(1)

        assert ending.outcome is Outcome.CANCELLED
        assert revoked(pool) == set(running)
        assert len(worker.mine()) == 2, "the third was never started"
        assert not pool.store.tasks
        assert pool.outcomes() == {"chain": Outcome.CANCELLED}


async def test_a_chain_cancelled_before_it_came_begins_nothing() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await pool.cancel("chain")
        await asyncio.sleep(0.1)

        await begin(pool, PARTS, WHOLE)
        ending = await ended(pool)
        await asyncio.sleep(1)

        assert ending.outcome is Outcome.CANCELLED
        assert worker.mine() == []


async def test_a_chain_that_missed_its_promise_is_given_up_once_with_all_its_steps() -> None:
    async with Pool.open() as pool:
        await begin(pool, PARTS, WHOLE, e2e_s=1, useful_s=3)

        ending = await ended(pool, within_s=5)
        await asyncio.sleep(1)

        assert ending.outcome is Outcome.EXPIRED
        assert 1 <= ending.ended_at - ending.received_at < 3
        assert not pool.store.tasks
        assert len(pool.told(TaskEnded)) == 1


async def test_more_than_can_be_kept_ends_the_chain_with_a_plain_word() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await begin(pool, PARTS, WHOLE)
        for branch in (0, 1, 2):
            await worker.take(f"chain.0.{branch}")
            await worker.end(f"chain.0.{branch}", output="x" * 400_000)
        ending = await ended(pool)

        assert ending.outcome is Outcome.FAILED
        assert ending.is_refused
        assert "1200000 bytes, and 1048576 are kept" in (ending.error or "")


async def test_a_step_that_no_record_can_hold_ends_its_chain_and_nothing_else() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await begin(pool, a_stage("loud", "{item}" * 5, over=("\x01" * 100_000,)))
        ending = await ended(pool)
        await pool.submit(a_task("other", received_at=pool.clock.now(), ttft_s=5.0))

        assert ending.is_refused
        assert "the request of step 'loud' has 3000" in (ending.error or "")
        await worker.take("other")


async def test_every_step_is_in_the_trace_of_its_chain() -> None:
    memory = Memory()
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        with keep_spans(memory):
            await begin(pool, PARTS, WHOLE, traced=True)
            for branch in (0, 1, 2):
                await worker.take(f"chain.0.{branch}")
                await worker.end(f"chain.0.{branch}", output="part")
            await worker.take("chain.1.0")
            await worker.end("chain.1.0", output="done")
            await ended(pool)

    steps = [span for span in memory.spans if span.name == names.SPAN_STEP]
    assert sorted(str(span.attributes[names.STEP]) for span in steps) == [
        *("0.0", "0.1", "0.2", "1.0")
    ]
    assert {span.attributes[names.TASK_ID] for span in steps} == {"chain"}
    assert len({span.context.trace_id for span in memory.spans}) == 1


async def test_an_answer_that_is_slow_to_parse_holds_up_nobody_else() -> None:
    async with Pool.open() as pool:
        pool.parser.takes_s = 3
        worker = await ScriptedWorker(pool=pool).start()
        await begin(pool, DRAFT, REPAIR)
        await pool.submit(a_task("other", received_at=pool.clock.now(), ttft_s=9))
        await worker.take("chain.0.0")
        await worker.take("other")

        await worker.end("chain.0.0", output="def g(x) return")
        await asyncio.sleep(0.2)
        await worker.end("other")
        await pool.until(lambda: "other" in pool.outcomes(), within_s=1, saying="it ends")

        repair = await worker.take("chain.1.0")
        assert asked(repair) == "Mend: def g(x) return"
