"""The client's word replaces one limit and leaves the others as they usually are."""

import pytest

from shared.domain.task import LatencyClass, Promise
from shared.tasks import TASKS


@pytest.mark.parametrize("kind", TASKS)
def test_without_a_word_of_the_client_the_usual_promise_holds(kind: str) -> None:
    usual = TASKS[kind].promise

    assert usual.with_limits_of(None) == usual
    assert usual.with_limits_of(Promise()) == usual


def test_a_limit_of_the_client_replaces_the_same_limit_only() -> None:
    promise = Promise(ttft_s=1.0, tpot_s=0.05).with_limits_of(Promise(ttft_s=2.0))

    assert promise == Promise(ttft_s=2.0, tpot_s=0.05)


def test_a_limit_on_the_first_token_makes_any_kind_a_ttft_task() -> None:
    promise = TASKS["summarization"].promise.with_limits_of(Promise(ttft_s=0.5))

    assert promise == Promise(ttft_s=0.5, e2e_s=5.0)
    assert promise.latency_class() is LatencyClass.TTFT


def test_a_promise_about_batch_work_makes_it_urgent() -> None:
    promise = TASKS["batch"].promise.with_limits_of(Promise(e2e_s=60.0))

    assert promise.latency_class() is LatencyClass.E2E
