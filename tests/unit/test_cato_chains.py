"""Steps of a chain under `cato`: what follows a step waits with it."""

from dataclasses import replace

from shared.domain.task import Step, Task, TaskId
from tests.builders import a_backlog, a_task


def a_step(id: str, stage: int, *, e2e_s: float = 5.0) -> Task:
    whole = a_task(id, kind="translation", e2e_s=e2e_s, prompt_tokens=1_000, output_tokens=100)
    return replace(whole, step=Step(chain=TaskId("chain"), stage=stage))


def test_a_later_step_goes_before_a_first_one_under_the_same_promise() -> None:
    backlog = a_backlog(a_step("first", 0), a_step("later", 1), policy="cato")

    assert [task.id for task in backlog.heads()] == ["later", "first"]


def test_a_step_is_given_less_time_to_wait_than_an_answer_that_nothing_follows() -> None:
    lone = replace(a_step("lone", 0), step=None)
    backlog = a_backlog(lone, a_step("step", 0), policy="cato")

    backlog.relegate(now=0.7)

    assert [task.id for task in backlog.heads()] == ["lone"]
    assert [task.id for task in backlog.latecomers()] == ["step"]
