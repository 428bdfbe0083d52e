"""A session has a home: the worker whose engine holds the beginning of its prompt."""

from dataclasses import replace

import pytest

from shared.domain.task import Task
from shared.scheduling.batching import Batch, Sequence
from shared.scheduling.plan import plan
from shared.scheduling.policies.cato import Cato
from shared.scheduling.policy import Home, WorkerView
from shared.scheduling.prefixes import Prefixes, Sessions, shared_tokens
from tests.builders import REFERENCE, a_backlog, a_task

CATO = Cato()
NEAR = WorkerView(name="near", to_partition=0, slots=8, held=1)
AWAY = WorkerView(name="away", to_partition=1, slots=8, held=1)


def a_completion(id: str = "completion", *, prompt_tokens: int = 2000) -> Task:
    return a_task(id, ttft_s=0.3, useful_s=0.3, prompt_tokens=prompt_tokens, session="editor-1")


def home(*, drained_at: float = 0.0, cached_tokens: int = 1500) -> Home:
    return Home(worker=replace(NEAR, drained_at=drained_at), cached_tokens=cached_tokens)


def planned(task: Task, at_home: Home) -> list[str]:
    backlog = a_backlog(task, policy="cato")
    fleet = (at_home.worker, AWAY)
    decided = plan(backlog, fleet, now=0.0, starvation_s=60, home_of=lambda _: at_home)
    return [each.worker.name for each in decided.dispatch]


def test_a_prompt_goes_where_its_beginning_is_cached() -> None:
    assert planned(a_completion(), home()) == ["near"]


def test_it_waits_for_its_home_a_while() -> None:
    assert planned(a_completion(), home(drained_at=0.05)) == []


def test_it_waits_no_longer_than_what_that_saves_is_worth() -> None:
    saved_s = 160 * REFERENCE.step_time.prefill_s

    assert planned(a_completion(), home(drained_at=0.05, cached_tokens=160)) == ["away"]
    assert CATO.home_price * saved_s < 0.05


def test_it_goes_elsewhere_when_it_would_be_late_at_home() -> None:
    assert planned(a_completion(), home(drained_at=0.29, cached_tokens=1900)) == ["away"]


def test_it_goes_elsewhere_when_its_home_is_full() -> None:
    full = Home(worker=replace(NEAR, held=NEAR.slots), cached_tokens=1500)

    assert planned(a_completion(), full) == ["away"]


def test_a_starving_task_waits_for_no_home() -> None:
    task = replace(a_completion(), received_at=-100.0, useful_s=None)
    at_home = home(drained_at=0.05)
    backlog = a_backlog(task, policy="cato")

    decided = plan(
        backlog, (at_home.worker, AWAY), now=0.0, starvation_s=60, home_of=lambda _: at_home
    )

    assert [each.worker.name for each in decided.dispatch] == ["away"]


def test_a_session_is_at_home_where_its_prompts_went_and_soonest_begun_there() -> None:
    sessions, busy = Sessions(share=0.75), replace(NEAR, drained_at=1.0)
    sessions.sent(a_completion("first"), NEAR)
    sessions.sent(a_completion("second", prompt_tokens=1000), AWAY)

    found = sessions.home(a_completion("third"), lambda then: busy if then is NEAR else then)

    assert found == Home(worker=AWAY, cached_tokens=736)
    assert sessions.cached_tokens(a_completion("third"), busy) == 1488


def test_only_the_latest_homes_of_a_session_are_remembered() -> None:
    sessions = Sessions(share=0.75)
    workers = [replace(NEAR, name=f"worker-{number}") for number in range(9)]
    for worker in workers:
        sessions.sent(a_completion(), worker)

    known = [sessions.cached_tokens(a_completion(), worker) > 0 for worker in workers]
    assert known == [False] * 5 + [True] * 4


@pytest.mark.parametrize(
    "sessions", [Sessions(share=0.0), Sessions(share=0.75, limit=1)], ids=["uncached", "forgotten"]
)
def test_without_a_cache_or_after_too_many_others_a_session_has_no_home(sessions: Sessions) -> None:
    sessions.sent(a_completion(), NEAR)
    sessions.sent(replace(a_completion(), session="editor-2"), NEAR)

    assert sessions.home(a_completion(), lambda worker: worker) is None


def test_a_session_whose_worker_has_gone_has_no_home() -> None:
    sessions = Sessions(share=0.75)
    sessions.sent(a_completion(), NEAR)

    assert sessions.home(a_completion(), lambda _: None) is None


def test_an_engine_holds_no_more_than_it_has_room_for_and_forgets_the_oldest() -> None:
    prefixes = Prefixes(room_tokens=100)
    for key in ("old", "kept", "old", "new"):
        prefixes.keep(key, 50)

    assert [prefixes.tokens(key) for key in ("kept", "old", "new")] == [0, 50, 50]


def test_a_whole_prompt_is_never_cached() -> None:
    assert shared_tokens(1.0, before=3200, prompt_tokens=1600) == 1599
    assert shared_tokens(1.0, before=10, prompt_tokens=1600) == 0


def test_cached_tokens_are_not_prefilled_again() -> None:
    def first_step_s(cached_tokens: int) -> float:
        batch = Batch(profile=REFERENCE)
        batch.admit(Sequence(prompt_tokens=2000, output_tokens=1, cached_tokens=cached_tokens))
        step = batch.next_step()
        assert step is not None
        assert step.prefill_tokens == 2000 - cached_tokens
        assert batch.is_idle()
        assert batch.reserved_tokens == batch.unprefilled_tokens == 0
        return step.duration_s

    saved_s = first_step_s(0) - first_step_s(1504)

    assert saved_s == pytest.approx(1504 * REFERENCE.step_time.prefill_s)


def test_one_who_leaves_while_waiting_takes_only_the_uncached_along() -> None:
    batch = Batch(profile=REFERENCE)
    waiting = Sequence(prompt_tokens=2000, output_tokens=1, cached_tokens=1504)
    batch.admit(waiting)
    batch.remove(waiting)

    assert batch.unprefilled_tokens == 0
