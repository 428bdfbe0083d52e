"""How many workers keep the promise."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.scheduling.scaling import Demand, Due, Steady, workers_needed
from tests.builders import a_backlog, a_task

anything = st.floats(allow_nan=True, allow_infinity=True)
works = st.lists(st.tuples(st.floats(0.01, 600), st.floats(0.01, 60)), max_size=30)


def a_demand(*rates: tuple[float, int], horizon_s: float = 30) -> Demand:
    """So much a second, for so many seconds, one after the other."""
    demand, now = Demand(horizon_s), 0.0
    demand.note(0.0, now)
    for rate, seconds in rates:
        for _ in range(seconds):
            now += 1.0
            demand.note(rate, now - 0.5)
            demand.note(0.0, now)
    return demand


def needed(*waiting: Due, coming: float = 0.0, fleet: int = 1, start_s: float = 30) -> int:
    return workers_needed(waiting, coming=coming, fleet=fleet, start_s=start_s)


def test_nothing_waiting_and_nothing_coming_needs_nobody() -> None:
    assert needed() == 0


def test_work_that_comes_steadily_needs_as_many_workers_as_it_keeps_busy() -> None:
    assert needed(coming=2.0) == 2
    assert needed(coming=2.1) == 3


def test_slow_workers_are_needed_in_greater_number() -> None:
    assert workers_needed([], coming=2.0, fleet=1, start_s=30, pace=0.5) == 4


def test_a_far_deadline_calls_for_those_who_still_have_time_to_start() -> None:
    assert needed((100, 100)) == 1
    assert needed((100, 170)) == 2
    assert needed((100, 171)) == 3


def test_what_comes_meanwhile_takes_its_part_of_the_time_until_a_deadline() -> None:
    assert needed((100, 100), coming=0.5) == 2


def test_the_tightest_deadline_decides_not_the_total() -> None:
    assert needed((100, 100), (1000, 100)) == 1
    assert needed((100, 200), (1000, 200)) == 3


def test_nobody_is_called_for_what_cannot_be_saved_any_more() -> None:
    assert needed((10, 500), coming=0.5) == 1


def test_the_costliest_is_let_go_where_not_all_can_be_saved() -> None:
    beyond_help = [(10.0, 50.0)]
    can_be_done = [(10.0, 2.0), (100.0, 80.0)]

    assert needed(*beyond_help, *can_be_done) == needed(*can_be_done)


def test_a_prompt_due_at_once_does_not_make_the_fleet_look_small() -> None:
    assert needed((0.05, 0.05), coming=0.5, fleet=4) == 1


@given(waiting=works, more=works, fleet=st.integers(0, 20), start_s=st.floats(0, 120))
def test_more_that_comes_never_needs_fewer_workers(
    waiting: list[Due], more: list[Due], fleet: int, start_s: float
) -> None:
    coming = sum(work_s for _, work_s in more)

    some = workers_needed(waiting, coming=1.0, fleet=fleet, start_s=start_s)
    rather_more = workers_needed(waiting, coming=1.0 + coming, fleet=fleet, start_s=start_s)

    assert some >= 1
    assert rather_more >= math.floor(1.0 + coming - 0.01)


@given(
    waiting=st.lists(st.tuples(anything, anything), max_size=10),
    coming=anything,
    start_s=anything,
    pace=anything,
)
def test_nonsense_never_breaks_it(
    waiting: list[Due], coming: float, start_s: float, pace: float
) -> None:
    told = workers_needed(waiting, coming=coming, fleet=2, start_s=start_s, pace=pace)

    assert 0 <= told <= 100_000


def test_only_who_can_still_be_on_time_is_counted() -> None:
    late = a_task("late", e2e_s=5, useful_s=60)
    backlog = a_backlog(late, a_task("fresh", received_at=100, e2e_s=500), policy="cato")
    backlog.relegate(100)

    due = list(backlog.promised(100))

    assert [at for at, _ in due] == [500]
    assert all(work_s > 0 for _, work_s in due)


def test_a_steady_rate_is_expected_to_go_on_without_head_room() -> None:
    demand = a_demand((2.0, 300))

    assert demand.ahead(caution=0) == pytest.approx(2.0, rel=0.01)
    assert demand.ahead(caution=3) == pytest.approx(2.0, rel=0.01)


def test_before_anything_has_come_nothing_is_expected() -> None:
    assert Demand(30).ahead(caution=1) == 0


def test_rates_that_last_are_followed() -> None:
    lasting = [(1.0, 900), (4.0, 900)] * 2

    assert a_demand(*lasting).ahead(caution=0) > 3.7
    assert a_demand(*lasting, (1.0, 60)).ahead(caution=0) < 1.3


def test_rates_that_change_sooner_than_a_model_loads_are_not_followed() -> None:
    fleeting = [(0.0, 60), (4.0, 60)] * 20

    expected = [
        a_demand(*fleeting, *then, horizon_s=60).ahead(caution=0)
        for then in ([], [(0.0, 30)], [(0.0, 59)])
    ]

    assert expected == [pytest.approx(2.0, abs=0.6)] * 3


def test_head_room_is_as_wide_as_the_forecast_erred() -> None:
    bursty = a_demand(*[(10.0, 1), (0.0, 19)] * 60)

    rooms = [bursty.ahead(caution) - bursty.ahead(0) for caution in (0.0, 1.0, 2.0)]

    assert rooms == [0, pytest.approx(0.87, abs=0.2), pytest.approx(2 * rooms[1])]


@given(notes=st.lists(st.tuples(anything, anything), max_size=20), horizon_s=st.floats(0, 600))
def test_nonsense_and_leaping_clocks_leave_a_forecast_that_is_a_number(
    notes: list[tuple[float, float]], horizon_s: float
) -> None:
    demand = Demand(horizon_s)

    for work_s, now in notes:
        demand.note(work_s, now)

    assert 0 <= demand.ahead(caution=1) < math.inf


def test_need_is_met_at_once_and_let_go_only_after_the_hold() -> None:
    steady = Steady(least=1, most=8, hold_s=60)

    wanted = [steady.wanted(need, now) for now, need in ((0, 2), (1, 6), (2, 3), (61, 3), (62, 3))]

    assert wanted == [2, 6, 6, 6, 3]


def test_it_goes_down_in_the_steps_in_which_need_went_down() -> None:
    steady = Steady(least=1, most=8, hold_s=10)

    wanted = [steady.wanted(need, now) for now, need in ((0, 8), (5, 4), (11, 0), (16, 0))]

    assert wanted == [8, 8, 4, 1]


def test_bounds_hold_whatever_is_needed() -> None:
    steady = Steady(least=2, most=3, hold_s=0)

    assert [steady.wanted(need, now) for now, need in ((0, 0), (1, 100), (2, 0))] == [2, 3, 2]


def test_a_clock_that_went_back_does_not_hold_the_fleet_for_ever() -> None:
    steady = Steady(least=1, most=8, hold_s=60)
    steady.wanted(8, now=1_000_000)

    steady.wanted(2, now=0)

    assert steady.wanted(2, now=61) == 2
