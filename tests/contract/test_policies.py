"""What every policy promises, whichever it is."""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.task import Task
from shared.scheduling.plan import plan
from shared.scheduling.policies import POLICIES
from shared.scheduling.policy import WorkerView
from tests.builders import COST, a_backlog, a_task

instants = st.floats(min_value=0, max_value=1000)
limits = st.none() | st.floats(min_value=0.01, max_value=100)


@st.composite
def worlds(draw: st.DrawFn) -> list[Task]:
    return [
        a_task(
            f"task-{n}",
            received_at=draw(instants),
            ttft_s=draw(limits),
            e2e_s=draw(limits),
            useful_s=draw(limits),
            prompt_tokens=draw(st.integers(0, 10_000)),
            output_tokens=draw(st.integers(0, 5_000)),
        )
        for n in range(draw(st.integers(0, 20)))
    ]


@st.composite
def fleets(draw: st.DrawFn) -> list[WorkerView]:
    return [
        WorkerView(
            name=f"worker-{n}",
            to_partition=n,
            slots=draw(st.integers(1, 4)),
            held=draw(st.integers(0, 5)),
            drained_at=draw(instants),
        )
        for n in range(draw(st.integers(0, 4)))
    ]


@pytest.mark.parametrize("name", POLICIES)
@given(world=worlds(), fleet=fleets(), now=instants)
def test_every_task_is_started_given_up_or_left_waiting_once(
    name: str, world: list[Task], fleet: Sequence[WorkerView], now: float
) -> None:
    decided = plan(a_backlog(*world, policy=name), fleet, now=now, starvation_s=60)

    given_up = [task.id for task in (*decided.expired, *decided.shed)]
    named = [a.task.id for a in decided.dispatch] + given_up
    assert len(named) == len(set(named))
    assert set(named) <= {task.id for task in world}


@pytest.mark.parametrize("name", POLICIES)
@given(world=worlds(), fleet=fleets(), now=instants)
def test_no_worker_is_given_more_than_it_has_slots(
    name: str, world: list[Task], fleet: Sequence[WorkerView], now: float
) -> None:
    decided = plan(a_backlog(*world, policy=name), fleet, now=now, starvation_s=60)

    for worker in fleet:
        given_now = sum(a.worker.name == worker.name for a in decided.dispatch)
        assert given_now <= max(0, worker.slots - worker.held)


@pytest.mark.parametrize("name", POLICIES)
@given(world=worlds(), fleet=fleets(), now=instants)
def test_no_worker_is_sent_more_while_it_has_more_than_its_window_to_prefill(
    name: str, world: list[Task], fleet: Sequence[WorkerView], now: float
) -> None:
    policy = POLICIES[name]()

    decided = plan(a_backlog(*world, policy=name), fleet, now=now, starvation_s=60)

    for task, worker in decided.dispatch:
        most_s = max(policy.window_s(task, COST), policy.late_window_s)
        assert worker.residual_s(now) <= most_s + 1e-9


@pytest.mark.parametrize("name", POLICIES)
@given(world=worlds(), fleet=fleets(), now=instants)
def test_whoever_waits_is_looked_at_again_when_a_worker_is_drained(
    name: str, world: list[Task], fleet: Sequence[WorkerView], now: float
) -> None:
    decided = plan(a_backlog(*world, policy=name), fleet, now=now, starvation_s=60)

    named = len(decided.dispatch) + len(decided.expired) + len(decided.shed)
    started = Counter(a.worker.name for a in decided.dispatch)
    has_room = any(each.held + started[each.name] < each.slots for each in fleet)
    is_eager = POLICIES[name]().window_s(a_task("t"), COST) == math.inf
    assert (decided.look_again_at < math.inf) == (has_room and named < len(world) and not is_eager)


@pytest.mark.parametrize("name", [name for name in POLICIES if POLICIES[name]().work_conserving])
@given(world=worlds(), fleet=fleets(), now=instants)
def test_no_slot_stays_free_while_a_viable_task_waits(
    name: str, world: list[Task], fleet: Sequence[WorkerView], now: float
) -> None:
    decided = plan(a_backlog(*world, policy=name), fleet, now=now, starvation_s=60)

    free = sum(max(0, worker.slots - worker.held) for worker in fleet)
    viable = len(world) - len(decided.expired) - len(decided.shed)
    assert len(decided.dispatch) == min(free, viable)


@pytest.mark.parametrize("name", POLICIES)
@given(world=worlds(), fleet=fleets(), now=instants, starvation_s=st.floats(1, 100))
def test_nobody_overtakes_a_starving_task(
    name: str, world: list[Task], fleet: Sequence[WorkerView], now: float, starvation_s: float
) -> None:
    decided = plan(a_backlog(*world, policy=name), fleet, now=now, starvation_s=starvation_s)

    started = [a.task for a in decided.dispatch]
    starving = [
        task
        for task in world
        if task.received_at < now - starvation_s and task not in decided.expired
    ]
    assert not set(starving) & set(decided.shed)
    assert len([task for task in started if task in starving]) == min(len(started), len(starving))


@pytest.mark.parametrize("name", POLICIES)
def test_nonsense_predictions_never_break_the_order(name: str) -> None:
    sane = a_task("sane", ttft_s=1)
    mad = a_task("mad", ttft_s=math.nan, received_at=math.nan, useful_s=math.nan, prompt_tokens=-5)
    backlog = a_backlog(mad, sane, policy=name)

    assert [task.id for task in backlog.heads()] == ["sane", "mad"]
    assert backlog.remove(mad.id) is mad
    assert list(backlog.heads()) == [sane]


@settings(max_examples=50)
@given(
    works=st.lists(st.tuples(st.integers(1, 20_000), st.floats(0.05, 5.0)), min_size=1, max_size=5)
)
def test_edf_misses_nothing_that_any_order_on_one_serial_worker_can_keep(
    works: list[tuple[int, float]],
) -> None:
    """With a common release and true lengths, sorting by deadline is optimal (Jackson, 1955)."""
    tasks = [
        a_task(str(n), ttft_s=limit, prompt_tokens=size) for n, (size, limit) in enumerate(works)
    ]
    is_feasible = any(_misses(order) == 0 for order in permutations(tasks))

    served = list(a_backlog(*tasks, policy="edf").heads())

    assert (_misses(served) == 0) == is_feasible


def _misses(order: Sequence[Task]) -> int:
    now, misses = 0.0, 0
    for task in order:
        now += COST.promised_s(task)
        misses += now > task.deadline_at
    return misses
