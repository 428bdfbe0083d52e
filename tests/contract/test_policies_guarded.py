"""Planning goes on, whatever predictions, clocks, workers and policies come up with."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.task import Prediction, Task
from shared.scheduling.backlog import Backlog
from shared.scheduling.cost import Cost
from shared.scheduling.plan import Plan, plan
from shared.scheduling.policies import POLICIES
from shared.scheduling.policy import Begun, Eager, Home, Policy, Rank, WorkerView
from shared.scheduling.step_time import StepTime
from tests.builders import COST, REFERENCE, a_backlog, a_task, a_worker

numbers = st.floats(allow_nan=True, allow_infinity=True)
counts = st.integers() | st.sampled_from([10**400, -(10**400)])
ANSWERS: Sequence[object] = (math.nan, -math.inf, math.inf, None, "soon", (), (math.nan,), 10**400)


@st.composite
def mad_tasks(draw: st.DrawFn, number: int = 0) -> Task:
    sane = a_task(
        f"task-{number}",
        received_at=draw(numbers),
        ttft_s=draw(st.none() | numbers),
        e2e_s=draw(st.none() | numbers),
        useful_s=draw(st.none() | numbers),
    )
    prediction = Prediction(
        prompt_tokens=draw(counts), output_tokens_p50=draw(counts), output_tokens_p90=draw(counts)
    )
    # A missing prediction is against the types, and that is the point.
    given_ = draw(st.just(prediction) | st.just(cast("Prediction", None)))
    return replace(sane, prediction=given_)


@st.composite
def mad_worlds(draw: st.DrawFn) -> list[Task]:
    return [draw(mad_tasks(number)) for number in range(draw(st.integers(0, 8)))]


@st.composite
def mad_fleets(draw: st.DrawFn) -> list[WorkerView]:
    return [
        WorkerView(
            name=f"worker-{number}",
            to_partition=number,
            slots=draw(st.integers(-1, 3)),
            held=draw(st.integers(-3, 3)),
            served_at=draw(numbers),
            drained_at=draw(numbers),
            tasks=(Begun(draw(mad_tasks()), draw(numbers)),),
        )
        for number in range(draw(st.integers(0, 3)))
    ]


def planned(backlog: Backlog, fleet: Sequence[WorkerView], now: float) -> Plan:
    """Checked: every task is named once at most, and no worker is sent more than it can take."""
    home = Home(worker=fleet[0], cached_tokens=-5) if fleet else None
    decided = plan(backlog, fleet, now=now, starvation_s=60, home_of=lambda _: home)
    named = [assignment.task.id for assignment in decided.dispatch]
    named += [task.id for task in (*decided.expired, *decided.shed)]
    assert len(named) == len(set(named))
    assert all(task_id in backlog for task_id in named)
    for worker in fleet:
        sent = sum(each.worker.name == worker.name for each in decided.dispatch)
        assert sent <= max(0, worker.slots - worker.held)
    return decided


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=25)
@given(world=mad_worlds(), fleet=mad_fleets(), now=numbers, step=st.tuples(*[numbers] * 4))
def test_nonsense_in_tasks_workers_clock_and_speed_raises_nothing(
    name: str,
    world: list[Task],
    fleet: list[WorkerView],
    now: float,
    step: tuple[float, float, float, float],
) -> None:
    base_s, prefill_s, decode_s, kv_s = step
    believed = StepTime(base_s=base_s, prefill_s=prefill_s, decode_s=decode_s, kv_s=kv_s)
    cost = Cost(profile=replace(REFERENCE, step_time=believed), company=16)
    backlog = Backlog(policy=POLICIES[name](), cost=cost)

    for task in world:
        backlog.add(task)
    decided = planned(backlog, fleet, now)

    for task in (*decided.expired, *decided.shed, *(each.task for each in decided.dispatch)):
        assert backlog.remove(task.id) is task
    assert all(math.isfinite(work_s) for work_s in backlog.work_s.values())


class Mad(Eager):
    """Answers every question with the same nonsense, or with an exception."""

    def __init__(self, answer: object) -> None:
        self._answer = answer

    def _say(self) -> object:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    def rank(self, task: Task, cost: Cost, pressure_s: float) -> Rank:
        return cast("Rank", self._say())

    def place(
        self,
        task: Task,
        free: Sequence[WorkerView],
        now: float,
        cost: Cost,
        pressure_s: float,
    ) -> WorkerView | None:
        return cast("WorkerView", self._say())

    def goes_home(self, task: Task, home: Home, now: float, cost: Cost) -> bool:
        return cast("bool", self._say())

    def doomed_at(self, task: Task, cost: Cost) -> float:
        return cast("float", self._say())

    def hopeless_at(self, task: Task, cost: Cost) -> float:
        return cast("float", self._say())

    def engine_priority(self, task: Task, cost: Cost) -> int:
        return cast("int", self._say())


@settings(max_examples=60)
@given(
    answer=st.sampled_from([*ANSWERS, ValueError("out of ideas"), RecursionError()]),
    world=mad_worlds(),
    fleet=mad_fleets(),
    now=numbers,
)
def test_a_policy_of_nonsense_raises_nothing(
    answer: object, world: list[Task], fleet: list[WorkerView], now: float
) -> None:
    backlog = Backlog(policy=cast("Policy", Mad(answer)), cost=COST)

    for task in world:
        backlog.add(task)
    planned(backlog, fleet, now)


def test_where_a_policy_fails_the_earliest_deadline_goes_first_and_the_lapses_are_counted() -> None:
    backlog = Backlog(policy=Mad(ZeroDivisionError("no worker")), cost=COST)
    for name, limit_s in (("last", 9.0), ("first", 1.0), ("second", 5.0)):
        backlog.add(a_task(name, ttft_s=limit_s))

    decided = planned(backlog, [a_worker("a", slots=2), a_worker("b", slots=2, held=1)], 0.0)

    sent = [(each.task.id, each.worker.name) for each in decided.dispatch]
    assert sent == [("first", "a"), ("second", "b"), ("last", "a")]
    assert backlog.guard.take_lapses()["rank"] == 3
    assert backlog.guard.take_lapses() == {}
    assert "ZeroDivisionError" in backlog.guard.latest


def test_a_worker_that_is_full_is_not_sent_a_task_whatever_the_policy_says() -> None:
    full = a_worker("full", slots=1, held=1)
    backlog = Backlog(policy=cast("Policy", Mad(full)), cost=COST)
    backlog.add(a_task(ttft_s=1))

    decided = planned(backlog, [full, a_worker("free")], 0.0)

    assert [each.worker.name for each in decided.dispatch] == ["free"]


@pytest.mark.parametrize("name", POLICIES)
def test_ten_thousand_tasks_of_one_tenant_are_planned_like_any_others(name: str) -> None:
    crowd = [a_task(f"task-{n}", received_at=n / 1000, e2e_s=60) for n in range(10_000)]

    decided = planned(a_backlog(*crowd, policy=name), [a_worker(slots=4)], 10.0)

    assert len(decided.dispatch) >= 1
    assert not decided.expired


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=25)
@given(leaps=st.lists(st.floats(-1e9, 1e9), max_size=8))
def test_a_clock_that_jumps_loses_no_task(name: str, leaps: list[float]) -> None:
    backlog = a_backlog(*(a_task(f"task-{n}", e2e_s=5) for n in range(5)), policy=name)

    for now in leaps:
        planned(backlog, [a_worker(slots=0)], now)

    assert len([*backlog.heads(), *backlog.latecomers()]) == len(backlog) == 5
