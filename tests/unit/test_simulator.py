"""The house in virtual time."""

from dataclasses import replace
from itertools import accumulate
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.report.observation import Ending
from loadgen.simulator.capacity import capacity_per_s
from loadgen.simulator.ledger import Pace
from loadgen.simulator.playing import Played, Scene, play, play_through
from loadgen.simulator.setting import Change
from loadgen.simulator.world import usual
from loadgen.workloads.arrival import Arrival
from loadgen.workloads.mixes import REFERENCE as REFERENCE_MIX
from shared.domain.task import Prediction
from shared.scheduling.batching import Batch, Sequence
from shared.scheduling.policies import POLICIES
from shared.tasks import TASKS
from tests.builders import REFERENCE

SCENE = Scene(
    mix=REFERENCE_MIX,
    profile=REFERENCE,
    arrivals="gamma",
    load=1.0,
    workers=2,
    duration_s=10.0,
    seed=7,
)


def an_arrival(
    at_s: float = 0.0, *, kind: str = "completion", prompt: int = 1000, output: int = 5
) -> Arrival:
    return Arrival(
        at_s=at_s,
        kind=kind,
        route="/v1/completions",
        prompt_tokens=prompt,
        output_tokens=output,
        tenant="tenant-1",
        cut=0,
        seed=0,
    )


def played(*arrivals: Arrival, policy: str = "cato") -> Played:
    return play(SCENE, policy, arrivals)


def test_a_worker_of_the_reference_serves_about_twelve_requests_a_second() -> None:
    assert capacity_per_s(REFERENCE, REFERENCE_MIX) == pytest.approx(12.4, rel=0.03)


def test_a_lone_request_takes_one_hop_and_its_steps() -> None:
    seen = played(an_arrival()).observations[0]

    steps_s = REFERENCE.alone_s(1000, 5)
    assert seen.ttft_s == pytest.approx(SCENE.hop_s + REFERENCE.first_token_s(1000), abs=1e-6)
    assert seen.e2e_s == pytest.approx(SCENE.hop_s + steps_s, abs=1e-3)


@pytest.mark.parametrize("policy", POLICIES)
def test_every_request_ends_once_whatever_the_policy(policy: str) -> None:
    scene = replace(SCENE, load=2.0, is_typing=True)
    workload = scene.workload()

    seen = play(scene, policy, workload).observations

    assert sorted(each.at_s for each in seen) == [arrival.at_s for arrival in workload]


def test_the_same_seed_plays_the_same() -> None:
    workload = SCENE.workload()

    first, second = play(SCENE, "cato", workload), play(SCENE, "cato", SCENE.workload())

    assert first.observations == second.observations


def test_a_client_who_leaves_before_its_turn_costs_the_engine_nothing() -> None:
    busy = an_arrival(prompt=6000)
    gone = replace(an_arrival(0.001), cancel_at_s=0.01)

    seen = play(replace(SCENE, workers=1), "cato", [busy, gone])

    assert [each.ending.value for each in seen.observations] == ["cancelled", "answered"]
    assert seen.observations[0].queued_s is None


def test_useful_time_is_never_more_than_there_is() -> None:
    workload = SCENE.workload()

    assert 0.3 < play(SCENE, "cato", workload).useful_share <= 1.0


def test_what_requests_used_adds_up_to_what_their_engine_worked() -> None:
    scene = replace(SCENE, workers=1)
    crowd = [an_arrival(0.1 * i, kind="generation", output=60) for i in range(3)]

    seen = play(scene, "round_robin", crowd)

    assert all(each.is_kept() for each in seen.observations)
    worked_s = max(each.at_s + (each.e2e_s or 0.0) for each in seen.observations) - scene.hop_s
    assert seen.useful_share * scene.duration_s == pytest.approx(worked_s, rel=1e-9)


@given(
    ends=st.lists(st.floats(0.001, 0.2), min_size=1, max_size=30),
    pace_s=st.floats(0.01, 0.1),
    data=st.data(),
)
def test_the_latest_token_of_a_stay_is_found_in_one_look(
    ends: list[float], pace_s: float, data: st.DataObject
) -> None:
    since = data.draw(st.integers(0, len(ends) - 1))
    pace, now, excess = Pace(pace_s), 0.0, []

    for step, took_s in enumerate(ends):
        now += took_s
        pace.note(step, now)
        excess.append(now - pace_s * step)

    assert pace.most_s(since) == max(excess[since:])


@given(seed=st.integers(0, 10_000))
def test_quiet_steps_done_at_once_are_the_same_steps(seed: int) -> None:
    rng = Random(seed)
    sizes = [(rng.randint(1, 300), rng.randint(2, 60)) for _ in range(5)]
    slow, fast = a_prefilled(sizes), a_prefilled(sizes)

    quiet = fast.quiet(now=1.0)
    assert quiet is not None
    finished = fast.skip(quiet.steps)
    steps = [slow.next_step() for _ in range(quiet.steps)]

    ends = list(accumulate((step.duration_s for step in steps if step), initial=1.0))
    assert [quiet.ended_at(number) for number in range(quiet.steps + 1)] == pytest.approx(ends)
    assert quiet.ended_by(quiet.ended_at(quiet.steps)) == quiet.steps
    assert [len(step.finished) for step in steps[:-1] if step] == [0] * (quiet.steps - 1)
    assert steps[-1] is not None
    assert len(steps[-1].finished) == len(finished) > 0
    assert slow.reserved_tokens == fast.reserved_tokens


def a_prefilled(sizes: list[tuple[int, int]]) -> Batch:
    """All prompts fit into the first step."""
    batch = Batch(profile=REFERENCE)
    for prompt, output in sizes:
        batch.admit(Sequence(prompt_tokens=prompt, output_tokens=output))
    batch.next_step()
    return batch


def test_a_workload_that_comes_one_by_one_is_the_same() -> None:
    assert list(SCENE.stream()) == SCENE.workload()


def test_a_run_that_keeps_no_observation_gives_the_same_figures() -> None:
    kept = play(SCENE, "cato", SCENE.workload())

    passing = play_through(SCENE, POLICIES["cato"](), SCENE.stream())

    assert (passing.figures, passing.useful_share) == (kept.figures, kept.useful_share)
    assert passing.observations == ()


def test_what_is_usual_follows_from_the_answers_of_each_kind() -> None:
    """A house that learns lengths online would know as much of a trace after a while."""
    lengths = [*range(1, 10), 500]
    arrivals = [replace(an_arrival(0.0), output_tokens=tokens) for tokens in lengths]

    guessed = usual(arrivals)(arrivals[0], TASKS["completion"].prior)

    assert guessed == Prediction(prompt_tokens=1000, output_tokens_p50=6, output_tokens_p90=500)


def test_a_client_that_asks_again_is_one_request_judged_from_its_first_try() -> None:
    scene = replace(SCENE, workers=1, retries=2, backoff_s=0.5)
    crowd = [an_arrival(0.001 * i, prompt=6000) for i in range(10)]

    refused = play(replace(scene, retries=0), "cato", crowd).observations
    seen = play(scene, "cato", crowd).observations

    assert len(seen) == len(refused) == len(crowd)
    shed = [each for each in refused if each.ending is Ending.SHED]
    again = [each for each in seen if each.ending is Ending.ANSWERED]
    assert shed
    assert len(again) > len(refused) - len(shed)
    assert sum(each.is_kept() for each in seen) <= sum(each.is_kept() for each in refused)


def test_older_reports_keep_fewer_promises() -> None:
    fresh = play(replace(SCENE, workers=4, duration_s=20.0), "cato", a_crowd())
    old = play(replace(SCENE, workers=4, duration_s=20.0, hop_s=0.05), "cato", a_crowd())

    assert attained(old) < attained(fresh)


def test_a_fleet_that_grows_keeps_more_promises() -> None:
    scene = replace(SCENE, load=1.5, duration_s=20.0, load_s=3.0)
    grown = replace(scene, changes=(Change(at_s=1.0, workers=2), Change(at_s=15.0, workers=-1)))

    assert attained(play(grown, "cato", scene.workload())) > 0.05 + attained(
        play(scene, "cato", scene.workload())
    )


def a_crowd() -> list[Arrival]:
    return replace(SCENE, workers=4, duration_s=20.0).workload()


def attained(played: Played) -> float:
    return played.figures.total.attainment or 0.0
