"""What is left of a chain's promise is split over the steps to come, whatever was predicted."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.scheduling.chains import SPLITS, Journey, resplit, stage_cost_s, whole
from tests.builders import COST, a_task

durations = st.floats(0, 1000)
nonsense = st.floats(allow_nan=True, allow_infinity=True)


def a_journey(
    *costs_s: float, now: float = 0.0, deadline_at: float = 20.0, first: tuple[float, ...] = ()
) -> Journey:
    return Journey(
        received_at=0.0,
        deadline_at=deadline_at,
        now=now,
        costs_s=costs_s,
        first_costs_s=first or costs_s,
    )


@pytest.mark.parametrize("name", SPLITS)
@given(costs_s=st.lists(durations, min_size=1, max_size=64), deadline_at=durations)
def test_budgets_are_never_negative_and_one_for_each_stage(
    name: str, costs_s: list[float], deadline_at: float
) -> None:
    budgets_s = SPLITS[name](a_journey(*costs_s, deadline_at=deadline_at))

    assert len(budgets_s) == len(costs_s)
    assert min(budgets_s) >= 0


@pytest.mark.parametrize("name", ["resplit", "whole"])
@given(costs_s=st.lists(durations, min_size=1, max_size=64), deadline_at=durations, now=durations)
def test_what_remains_is_given_out_to_the_last_second(
    name: str, costs_s: list[float], deadline_at: float, now: float
) -> None:
    journey = a_journey(*costs_s, deadline_at=deadline_at, now=now)

    assert math.fsum(SPLITS[name](journey)) == pytest.approx(journey.left_s, abs=1e-6)


@given(costs_s=st.lists(durations, min_size=1, max_size=9), sooner=durations, later=durations)
def test_more_time_makes_no_budget_smaller(
    costs_s: list[float], sooner: float, later: float
) -> None:
    little, much = sorted((sooner, later))

    before = resplit(a_journey(*costs_s, deadline_at=little))
    after = resplit(a_journey(*costs_s, deadline_at=much))

    assert all(more >= less for more, less in zip(after, before, strict=True))


@given(costs_s=st.lists(durations, min_size=2, max_size=9))
def test_a_costlier_stage_gets_no_smaller_budget(costs_s: list[float]) -> None:
    budgets_s = resplit(a_journey(*costs_s))

    by_cost = [budget_s for _, budget_s in sorted(zip(costs_s, budgets_s, strict=True))]
    assert by_cost == pytest.approx(sorted(budgets_s))


@pytest.mark.parametrize("name", SPLITS)
@given(
    costs_s=st.lists(nonsense, min_size=1, max_size=5),
    received_at=nonsense,
    deadline_at=nonsense,
    now=nonsense,
)
def test_nonsense_is_split_without_an_error(
    name: str, costs_s: list[float], received_at: float, deadline_at: float, now: float
) -> None:
    journey = Journey(
        received_at=received_at,
        deadline_at=deadline_at,
        now=now,
        costs_s=costs_s,
        first_costs_s=costs_s,
    )

    budgets_s = SPLITS[name](journey)

    assert len(budgets_s) == len(costs_s)
    assert all(math.isfinite(budget_s) and budget_s >= 0 for budget_s in budgets_s)


def test_a_quick_step_leaves_its_spare_time_to_all_that_follow() -> None:
    assert resplit(a_journey(1, 8, 1)) == pytest.approx((2, 16, 2))
    assert resplit(a_journey(8, 1, now=0.2)) == pytest.approx((17.6, 2.2))


def test_fixed_parts_do_not_change_when_a_step_was_quick() -> None:
    later = a_journey(8, 1, now=0.2, first=(1, 8, 1))

    assert SPLITS["fixed"](later) == pytest.approx((16, 2))


def test_without_a_split_a_step_has_all_but_what_must_follow() -> None:
    assert whole(a_journey(1, 8, 1)) == pytest.approx((11, 8, 1))


def test_a_broken_promise_leaves_nothing_to_split() -> None:
    assert resplit(a_journey(1, 2, now=30)) == (0, 0)


def test_a_stage_costs_its_whole_answer_whatever_the_chain_promises() -> None:
    like = a_task(ttft_s=1)

    short = stage_cost_s(COST, like, a_task(output_tokens=10).prediction)
    long = stage_cost_s(COST, like, a_task(output_tokens=700).prediction)

    assert long > short + 600 * COST.profile.step_time.base_s
