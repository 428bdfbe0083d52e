"""An engine that does nothing with the work it holds is left, and its tasks go elsewhere."""

import asyncio
from dataclasses import replace

import pytest

from services.worker.engine import EngineDied
from shared.domain.outcome import Attempt
from tests.stories.worker_bench import STEADY, a_bench, a_dispatch

HUNG = replace(STEADY, step_time=replace(STEADY.step_time, base_s=1000.0))
SLOW = replace(STEADY, step_time=replace(STEADY.step_time, base_s=50.0))


async def test_after_a_minute_without_a_piece_the_worker_hands_all_back_and_leaves() -> None:
    async with a_bench(profile=HUNG, slots=1) as bench:
        began = asyncio.get_running_loop().time()
        await bench.dispatch(a_dispatch("task-1"), a_dispatch("task-2"))

        with pytest.raises(EngineDied, match=r"brought nothing for 60 s.*CATO_STUCK_S"):
            await bench.serving
        took_s = asyncio.get_running_loop().time() - began

    endings = {str(ended.task_id): ended for ended in bench.endings()}
    assert endings["task-1"].result is Attempt.FAILED
    assert "brought nothing for 60 s" in (endings["task-1"].error or "")
    assert endings["task-2"].result is Attempt.RETURNED
    assert bench.reports()[-1].draining
    assert 60 <= took_s < 61


async def test_an_engine_that_is_only_slow_is_kept() -> None:
    async with a_bench(profile=SLOW) as bench:
        await bench.dispatch(a_dispatch(max_tokens=2))
        # Longer than the limit, in steps that are shorter.
        await asyncio.sleep(101)

        assert [ended.result for ended in bench.endings()] == [Attempt.COMPLETED]


async def test_an_engine_without_work_is_not_stuck() -> None:
    async with a_bench() as bench:
        await asyncio.sleep(300)
        await bench.dispatch(a_dispatch())
        (ended,) = await bench.until_ended()

    assert ended.result is Attempt.COMPLETED


async def test_giving_up_on_its_tasks_one_by_one_does_not_make_a_stuck_engine_look_alive() -> None:
    async with a_bench(profile=HUNG) as bench:
        for number in range(3):
            await bench.dispatch(a_dispatch(f"task-{number}"))
            await asyncio.sleep(25)
            if number < 2:
                await bench.revoke(f"task-{number}")
                await asyncio.sleep(100)

        with pytest.raises(EngineDied, match="brought nothing"):
            await asyncio.wait_for(bench.serving, 1)


async def test_a_refusal_is_a_sign_of_life() -> None:
    profile = replace(HUNG, context_tokens=100)
    async with a_bench(profile=profile) as bench:
        await bench.dispatch(a_dispatch("task-1"))
        await asyncio.sleep(50)
        too_long = a_dispatch("task-2")
        body = too_long.body.model_copy(update={"prompt": "x" * 10_000})
        await bench.dispatch(too_long.model_copy(update={"body": body}))
        await asyncio.sleep(50)

        assert not bench.serving.done()
        assert [ended.result for ended in bench.endings()] == [Attempt.REFUSED]


async def test_an_idle_worker_reports_ten_times_a_second() -> None:
    async with a_bench() as bench:
        await asyncio.sleep(0.5)
        before = len(bench.reports())
        await asyncio.sleep(2)

        assert len(bench.reports()) - before == pytest.approx(20, abs=1)
