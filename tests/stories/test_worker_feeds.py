"""A worker lets prompts into its engine one after another, where its feeder wants that."""

import asyncio

import pytest

from services.worker.roster import job_id_of
from shared.domain.task import TaskId
from shared.messages.body import Body
from tests.builders import REFERENCE, a_task
from tests.stories.worker_bench import FIRST, a_bench, a_dispatch

# About a thousand tokens: 40 ms of prefill.
LONG = Body(route="completions", prompt="word " * 1000, max_tokens=3, extra={"ignore_eos": True})


async def test_the_next_prompt_waits_outside_until_the_last_one_is_through() -> None:
    async with a_bench(profile=REFERENCE, feeder="holding") as bench:
        for name in ("first", "second", "third"):
            task = a_task(name, ttft_s=5, prompt_tokens=1000)
            await bench.dispatch(a_dispatch(name, body=LONG, task=task))
        await bench.until(lambda: bool(bench.worker.roster.running), "the first is in")

        assert list(bench.worker.roster.running) == [job_id_of(TaskId("first"), FIRST)]
        assert bench.worker.gate.residual_s() > 0.08
        ended = await bench.until_ended(3)

    assert [end.task_id for end in ended] == ["first", "second", "third"]


async def test_what_an_engine_has_kept_of_a_prompt_delays_nobody() -> None:
    async with a_bench(profile=REFERENCE, feeder="holding") as bench:
        for name, cached_tokens in (("inside", 0), ("waiting", 900)):
            task = a_task(name, ttft_s=5, prompt_tokens=1000)
            sent = a_dispatch(name, body=LONG, task=task)
            await bench.dispatch(sent.model_copy(update={"cached_tokens": cached_tokens}))
        await bench.until(lambda: bool(bench.worker.roster.running), "the first is in")

        # 40 ms for the first, 4 ms for what is left of the second, and two steps.
        assert 0.05 < bench.worker.gate.residual_s() < 0.07
        await bench.until_ended(2)


async def test_a_worker_tells_how_long_it_will_still_prefill() -> None:
    async with a_bench(profile=REFERENCE, feeder="holding") as bench:
        task = a_task("first", ttft_s=5, prompt_tokens=1000)
        await bench.dispatch(a_dispatch("first", body=LONG, task=task))
        await bench.until(
            lambda: any(report.residual_s > 0 for report in bench.reports()), "it is busy"
        )
        await bench.until_ended()
        await bench.until(lambda: bench.reports()[-1].residual_s == 0, "it is drained")


async def test_a_worker_knows_when_the_step_under_way_will_have_prefilled() -> None:
    async with a_bench(profile=REFERENCE, feeder="holding") as bench:
        task = a_task("first", ttft_s=5, prompt_tokens=1000)
        await bench.dispatch(a_dispatch("first", body=LONG, task=task))
        await bench.until(lambda: bool(bench.worker.roster.running), "the prompt is in")
        await asyncio.sleep(0.03)

        drained_at = bench.worker.attempts.clock.now() + bench.worker.gate.residual_s()
        (ended,) = await bench.until_ended()

    assert drained_at == pytest.approx(ended.first_token_at, abs=0.0005)
