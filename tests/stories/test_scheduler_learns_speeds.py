"""How fast its workers are, a scheduler hears from themselves."""

import math

import pytest

from services.scheduler.fleet import Fleet
from services.scheduler.mirror import Mirror
from shared.messages.pool import BacklogReported, EngineLoad, FittedSteps, WorkerReported
from tests.builders import COST, a_backlog, a_task
from tests.stories.scheduling import Pool, ScriptedWorker

SLOW = FittedSteps(
    base_s=0.018, prefill_s=4e-5, attention_s=0, decode_s=4e-5, kv_s=2e-8, error=0.03, timings=500
)


def a_pool(*fitted: FittedSteps | None) -> Mirror:
    mirror = Mirror(backlog=a_backlog(), fleet=Fleet(partitions=8, watched_since=0))
    for number, said in enumerate(fitted):
        report = WorkerReported(
            worker=f"worker-{number}",
            incarnation="1",
            model="cato-demo",
            at=10.0,
            to_partition=number,
            slots=4,
            profile="reference",
            load=EngineLoad(fitted=said),
        )
        mirror.fleet.hear(report, 10.0)
    mirror.learn_costs(10.0, 1.0)
    return mirror


def test_each_worker_is_judged_by_its_own_speed_and_the_backlog_by_the_mean() -> None:
    mirror = a_pool(SLOW, None)

    slow, unknown = mirror.views(10.0, 1.0)
    task = a_task(prompt_tokens=100)
    assert slow.cost is not None
    assert slow.cost.first_token_s(task) == pytest.approx(COST.first_token_s(task) + 0.012)
    assert unknown.cost is None
    assert mirror.backlog.cost.profile.step_time.base_s == pytest.approx(0.012)


def test_a_worker_that_speaks_nonsense_is_taken_to_be_like_its_profile() -> None:
    nonsense = [
        SLOW.model_copy(update={"base_s": math.nan}),
        SLOW.model_copy(update={"prefill_s": -1.0}),
        SLOW.model_copy(update={"base_s": 3600.0}),
    ]

    mirror = a_pool(*nonsense)

    assert [view.cost for view in mirror.views(10.0, 1.0)] == [COST] * 3
    assert mirror.backlog.cost.profile.step_time.base_s == pytest.approx(0.006)


def test_when_the_workers_are_gone_the_profile_is_believed_again() -> None:
    mirror = a_pool(SLOW)

    mirror.learn_costs(60.0, 1.0)

    assert mirror.backlog.cost == COST


async def test_everybody_is_told_how_long_the_first_token_of_a_prompt_takes() -> None:
    async with Pool.open() as pool:
        await ScriptedWorker(pool=pool).start()
        await pool.until(lambda: bool(pool.told(BacklogReported)), within_s=2, saying="it reports")

        told = pool.told(BacklogReported)[-1]
        expected_s = COST.first_token_s(a_task(prompt_tokens=1000))
        assert told.step_s + 1000 * told.prompt_token_s == pytest.approx(expected_s)
