"""A prompt has a home: the worker whose engine holds the beginning of it."""

from dataclasses import replace

import pytest

from shared.domain.task import Task
from shared.scheduling.batching import Batch, Sequence
from shared.scheduling.beginnings import TOKENS
from shared.scheduling.plan import plan
from shared.scheduling.policies.cato import Cato
from shared.scheduling.policy import Home, WorkerView
from shared.scheduling.prefixes import Homes, Prefixes, shared_tokens
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


def begun(*beginnings: int) -> Task:
    return replace(a_completion(), beginnings=beginnings)


def now_of(worker: WorkerView) -> WorkerView | None:
    return worker


def test_a_prompt_is_at_home_where_most_of_it_was_sent() -> None:
    homes = Homes(trust=1.0)
    homes.sent(begun(1, 2, 3), NEAR)
    homes.sent(begun(1, 2, 30), AWAY)

    found = homes.home(begun(1, 2, 3, 4), 0.0, now_of)

    assert found == Home(worker=NEAR, cached_tokens=TOKENS[2] // 16 * 16)
    assert homes.cached_tokens(begun(1, 2, 3, 4), AWAY) == TOKENS[1] // 16 * 16
    assert homes.cached_tokens(begun(5, 2, 3), replace(NEAR, name="another")) == 0
    assert homes.likely_tokens(begun(1, 2, 3, 4)) == TOKENS[2] // 16 * 16
    assert homes.likely_tokens(begun(7)) == 0


def test_of_many_who_know_the_beginning_it_goes_to_whoever_begins_first_and_has_least() -> None:
    homes, busy, full = Homes(trust=1.0), replace(NEAR, drained_at=1.0), replace(AWAY, held=7)
    third = replace(NEAR, name="third", held=2)
    for worker in (busy, full, third):
        homes.sent(begun(1), worker)

    found = homes.home(begun(1), 0.5, now_of)

    assert found is not None
    assert found.worker is third


def test_only_the_latest_homes_of_a_beginning_are_remembered() -> None:
    homes = Homes(trust=1.0)
    workers = [replace(NEAR, name=f"worker-{number}") for number in range(65)]
    for worker in workers:
        homes.sent(begun(1), worker)

    known = [homes.cached_tokens(begun(1), worker) > 0 for worker in workers]
    assert known == [False] + [True] * 64


@pytest.mark.parametrize(
    "homes", [Homes(), Homes(trust=1.0, limit=1)], ids=["not trusted", "forgotten"]
)
def test_without_a_cache_or_after_too_many_others_a_prompt_has_no_home(homes: Homes) -> None:
    homes.sent(begun(1), NEAR)
    homes.sent(begun(2), NEAR)

    assert homes.home(begun(1), 0.0, now_of) is None


def test_a_prompt_whose_worker_has_gone_has_no_home() -> None:
    homes = Homes(trust=1.0)
    homes.sent(begun(1), NEAR)

    assert homes.home(begun(1), 0.0, lambda _: None) is None


def test_engines_are_trusted_as_far_as_they_say_that_they_had_kept_it() -> None:
    honest, mute = Homes(), Homes(trust=1.0)
    for _ in range(300):
        honest.learn(1000, 800)
        mute.learn(1000, 0)
    honest.learn(0, 0)

    assert honest.trust == pytest.approx(0.8, abs=0.01)
    assert mute.trust == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize("told", [-5, 10**9])
def test_nonsense_about_a_cache_is_kept_within_reason(told: int) -> None:
    homes = Homes(trust=0.5)

    homes.learn(100, told)

    assert 0.0 <= homes.trust <= 1.0


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
