"""What nobody could have kept."""

from dataclasses import replace
from itertools import combinations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.bound.promised import Part, parts
from loadgen.bound.slots import Slots
from loadgen.bound.upper_bound import upper_bound
from loadgen.simulator.playing import Scene, play
from loadgen.workloads.arrival import Arrival
from shared.scheduling.policies import POLICIES
from shared.scheduling.step_time import EngineProfile, StepTime
from tests.builders import REFERENCE
from tests.unit.test_simulator import SCENE, an_arrival

# Nothing but prefill costs time, so that what is promised is a job on one machine.
SERIAL = EngineProfile(
    name="serial",
    step_time=StepTime(base_s=0.0, prefill_s=0.001, decode_s=0.0, kv_s=0.0),
    chunk_tokens=2048,
    max_sequences=1,
    kv_capacity_tokens=400_000,
    context_tokens=16_384,
    source="chosen",
)
KINDS = ("completion", "generation")

jobs = st.lists(
    st.builds(
        lambda at_ms, kind, prompt: an_arrival(
            2 * at_ms / 1000, kind=kind, prompt=prompt, output=1
        ),
        st.integers(0, 300),
        st.sampled_from(KINDS),
        st.integers(20, 500),
    ),
    min_size=1,
    max_size=7,
)


def keeps_all(chosen: tuple[Arrival, ...]) -> bool:
    return keeps_all_parts([parts(arrival, SERIAL)[0] for arrival in chosen])


def keeps_all_parts(work: list[Part]) -> bool:
    """Preemptive earliest deadline first on one machine misses nothing that can be kept."""
    left_s = [part.work_s for part in work]
    now = 0.0
    while any(left_s):
        open_ = [i for i, part in enumerate(work) if left_s[i] and part.from_at <= now]
        coming = [part.from_at for part in work if part.from_at > now]
        if not open_:
            now = min(coming)
            continue
        first = min(open_, key=lambda i: work[i].until_at)
        runs_s = min([left_s[first], *(at - now for at in coming)])
        now += runs_s
        left_s[first] = left_s[first] - runs_s if left_s[first] - runs_s > 1e-9 else 0.0
        if not left_s[first] and now > work[first].until_at + 1e-9:
            return False
    return True


def most_kept(workload: list[Arrival]) -> int:
    sizes = range(len(workload), -1, -1)
    return next(n for n in sizes if any(map(keeps_all, combinations(workload, n))))


@settings(deadline=None, max_examples=50)
@given(workload=jobs)
def test_no_choice_of_requests_keeps_more_than_the_bound(workload: list[Arrival]) -> None:
    bound = upper_bound(workload, SERIAL, 1).attainment * len(workload)

    assert bound >= most_kept(workload) - 1e-6


@settings(deadline=None, max_examples=50)
@given(workload=jobs)
def test_the_bound_is_everything_exactly_when_everything_can_be_kept(
    workload: list[Arrival],
) -> None:
    bound = upper_bound(workload, SERIAL, 1).attainment

    assert (bound > 1 - 1e-6) == keeps_all(tuple(workload))


@pytest.mark.parametrize("scene", [SCENE, replace(SCENE, load=2.0, seed=3, is_typing=True)])
def test_no_policy_is_above_the_bound(scene: Scene) -> None:
    scene = replace(scene, duration_s=3.0)
    workload = scene.workload()
    bound = upper_bound(workload, scene.profile, scene.workers).attainment

    for policy in POLICIES:
        attainment = play(scene, policy, workload).figures.total.attainment

        assert attainment is not None
        assert attainment <= bound, policy


def test_whoever_leaves_too_soon_costs_nothing_and_does_not_count() -> None:
    stays = [an_arrival(0.02 * i, prompt=1800) for i in range(20)]
    leaves = [replace(each, cancel_at_s=each.at_s + 0.01) for each in stays]

    alone = upper_bound(stays, REFERENCE, 1).attainment

    assert 0.1 < alone < 1.0
    assert upper_bound([*stays, *leaves], REFERENCE, 1).attainment == pytest.approx(alone)


def test_what_cannot_be_kept_alone_is_not_kept_by_the_bound() -> None:
    hopeless = an_arrival(prompt=8000)

    assert upper_bound([hopeless, an_arrival(5.0)], REFERENCE, 4).attainment == 0.5


def test_a_second_worker_can_only_help() -> None:
    rng = Random(5)
    workload = [an_arrival(rng.random(), prompt=rng.randrange(500, 3000)) for _ in range(60)]

    one, two = (upper_bound(workload, REFERENCE, workers).attainment for workers in (1, 2))

    assert one < two < 1.0


def test_nobody_asks_for_anything() -> None:
    assert upper_bound([], REFERENCE, 2).kept == []


def test_a_window_is_covered_without_gap_or_overlap() -> None:
    slots = Slots.between([(0.0, 0.1), (0.03, 0.5), (0.25, 0.9)])

    covered_s = sum(slots.lengths_s[node] for node in slots.cover(0.03, 0.5))

    assert covered_s == pytest.approx(0.47)
