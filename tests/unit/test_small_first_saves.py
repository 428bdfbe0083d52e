"""What asking a small model first saves is counted against a large one that is always asked."""

from dataclasses import replace

import pytest

from deploy.models.small_first import Fleet, Tried, curve, gpu_s, rows
from shared.adapters.profiles import load_profile

SMALL, LARGE = load_profile("h100-7b"), load_profile("h100-32b")
FLEET = Fleet(small=SMALL, large=LARGE)
STRAIGHT = Tried(prompt_tokens=400, large_tokens=10)
KEPT = Tried(prompt_tokens=400, large_tokens=10, small_tokens=12, is_whole=True, fits=True)
ESCALATED = Tried(prompt_tokens=400, large_tokens=10, small_tokens=12, is_whole=True)


def test_a_kept_answer_costs_the_small_model_alone_and_an_escalated_one_both() -> None:
    small_s, large_s = gpu_s(SMALL, 400, 12), gpu_s(LARGE, 400, 10)

    assert small_s < large_s / 3
    assert FLEET.small_first_s(STRAIGHT) == large_s
    assert FLEET.small_first_s(KEPT) == small_s
    assert FLEET.small_first_s(ESCALATED) == pytest.approx(small_s + large_s)


def test_a_longer_promise_has_room_for_longer_prompts() -> None:
    assert FLEET.longest_prompt(0.1) == 0
    assert 0 < FLEET.longest_prompt(0.3) < FLEET.longest_prompt(0.5)


def test_the_table_tells_shares_of_what_was_asked_and_of_what_was_kept() -> None:
    told = dict(rows([STRAIGHT, KEPT, KEPT, ESCALATED], FLEET))

    assert str(told["asked of the small model"]).startswith("0.750")
    assert str(told["its answer fits, and is kept"]).startswith("0.667")
    assert str(told["exactly right, of those kept"]).startswith("0.000")
    share = gpu_s(SMALL, 400, 12) / gpu_s(LARGE, 400, 10)
    assert told["saved"] == f"{1 - (2 + 3 * share) / 4:.0%}"


def test_more_confidence_keeps_less_and_asks_the_large_model_more() -> None:
    sure, unsure = replace(KEPT, probability=0.6, is_right=True), replace(KEPT, probability=0.03)

    _, *told = curve([STRAIGHT, sure, sure, unsure, ESCALATED], FLEET)
    by_confidence = {row[0]: row for row in told}

    assert str(by_confidence["0"][1]).startswith("1.000")
    assert str(by_confidence["0.05"][1]).startswith("0.667")
    assert str(by_confidence["0.05"][2]).startswith("1.000")
    assert str(by_confidence["0.05"][3]).startswith("1.000")
    assert str(by_confidence["0.8"][3]).startswith("0.000")
    assert by_confidence["0.8"][2] == "there are none"
    costs = [float(str(row[4])) for row in told]
    assert costs == sorted(costs)


def test_where_nothing_was_kept_the_table_says_so() -> None:
    told = dict(rows([STRAIGHT, ESCALATED], FLEET))

    assert told["exactly right, of those kept"] == "there are none"
