"""A workload is fixed by its seed: who asks what, when, and when they stop caring."""

import os
import subprocess
import sys
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from math import log
from pathlib import Path
from random import Random
from statistics import mean, median, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

import loadgen
from loadgen.workloads.arrival import Arrival
from loadgen.workloads.arrivals import poisson
from loadgen.workloads.corpus import Corpus
from loadgen.workloads.mixes import EDITOR, REFERENCE, KindMix, Mix
from loadgen.workloads.sessions import Typing, keystrokes
from loadgen.workloads.trace import TraceRow
from loadgen.workloads.workload import Crowd, build, labelled_requests, replay

ROOT = Path(loadgen.__file__).parents[1]
NOBODY_TYPES = Crowd(typing=None)
rising = st.lists(st.floats(0, 60), max_size=200).map(sorted)

FINGERPRINT = """
from random import Random
from loadgen.workloads.arrivals import ARRIVALS
from loadgen.workloads.corpus import Corpus
from loadgen.workloads.mixes import REFERENCE
from loadgen.workloads.workload import build
corpus = Corpus.of_standard_library()
arrivals = [a for name in ARRIVALS for a in build(REFERENCE, ARRIVALS[name](5, 5, Random(1)), 2)]
print(arrivals)
print([corpus.render(arrival) for arrival in arrivals[:5]])
"""


def some_arrivals(
    *, rate: float = 20, duration_s: float = 500, seed: int = 1, crowd: Crowd | None = None
) -> list[Arrival]:
    times = poisson(rate, duration_s, Random(seed))
    return build(REFERENCE, times, seed, crowd or Crowd(typing=Typing()))


def by_session(arrivals: list[Arrival]) -> dict[str, list[Arrival]]:
    sessions: dict[str, list[Arrival]] = defaultdict(list)
    for arrival in arrivals:
        if arrival.session is not None:
            sessions[arrival.session].append(arrival)
    return sessions


def fingerprint_in_a_process(hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", FINGERPRINT],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_a_seed_gives_the_same_workload_in_every_process() -> None:
    first, second = fingerprint_in_a_process("1"), fingerprint_in_a_process("2")

    assert first == second
    assert first.count("Arrival(") > 50


def test_another_seed_gives_another_workload_at_the_same_instants() -> None:
    times = list(poisson(5, 50, Random(1)))

    one, other = build(REFERENCE, times, 1), build(REFERENCE, times, 2)

    assert [arrival.at_s for arrival in one] == [arrival.at_s for arrival in other] == times
    assert one != other


@given(times=rising, seed=st.integers())
def test_every_instant_gets_one_arrival_within_the_bounds_of_its_kind(
    times: list[float], seed: int
) -> None:
    arrivals = build(REFERENCE, times, seed)

    assert [arrival.at_s for arrival in arrivals] == times
    for arrival in arrivals:
        assert 16 <= arrival.prompt_tokens <= 8_000
        assert 1 <= arrival.output_tokens <= 4_000
        assert (arrival.language is not None) == (arrival.kind == "translation")
        assert (arrival.session is not None) == (arrival.kind == "completion")
        assert arrival.cancel_at_s is None or arrival.cancel_at_s > arrival.at_s


def test_kinds_come_in_their_shares() -> None:
    arrivals = some_arrivals()

    for kind in REFERENCE.kinds:
        share = mean(arrival.kind == kind.name for arrival in arrivals)
        assert share == pytest.approx(kind.share, abs=0.015)


def test_shares_need_not_add_up_to_one() -> None:
    doubled = Mix(
        name="doubled",
        kinds=tuple(replace(kind, share=2 * kind.share) for kind in REFERENCE.kinds),
    )

    assert build(doubled, [1, 2, 3], 4) == build(REFERENCE, [1, 2, 3], 4)


@pytest.mark.parametrize("kind", REFERENCE.kinds, ids=lambda kind: kind.name)
def test_lengths_are_lognormal_as_the_mix_says(kind: KindMix) -> None:
    times = poisson(20, 500, Random(1))

    arrivals = build(Mix(name="one", kinds=(kind,)), times, 1, NOBODY_TYPES)

    outputs = [arrival.output_tokens for arrival in arrivals]
    prompts = [arrival.prompt_tokens for arrival in arrivals]
    assert median(outputs) == pytest.approx(kind.output_tokens.median, rel=0.05)
    assert median(prompts) == pytest.approx(kind.prompt_tokens.median, rel=0.05)
    # Clipping at 8,000 tokens narrows the widest kind a little.
    spread = stdev(log(tokens) for tokens in prompts)
    assert spread == pytest.approx(kind.prompt_tokens.sigma, rel=0.08)


def test_editors_keep_the_lengths_of_the_mix_on_average() -> None:
    arrivals = some_arrivals(rate=40, duration_s=2_000)
    prompts = [arrival.prompt_tokens for arrival in arrivals if arrival.kind == "completion"]

    assert median(prompts) == pytest.approx(1_400, rel=0.15)


def test_nearly_half_of_the_completions_are_typed_through() -> None:
    arrivals = [arrival for arrival in some_arrivals() if arrival.kind == "completion"]

    gone = [arrival for arrival in arrivals if arrival.cancel_at_s is not None]

    assert 0.45 <= len(gone) / len(arrivals) <= 0.50
    assert all(0.05 <= (arrival.cancel_at_s or 0) - arrival.at_s <= 0.4001 for arrival in gone)


def test_only_completions_are_given_up() -> None:
    others = [arrival for arrival in some_arrivals() if arrival.kind != "completion"]

    assert all(arrival.cancel_at_s is None for arrival in others)


@given(times=rising, seed=st.integers())
def test_what_is_superseded_is_followed_by_its_session_at_that_instant(
    times: list[float], seed: int
) -> None:
    for requests in by_session(build(EDITOR, times, seed)).values():
        for before, after in pairwise(requests):
            assert before.superseded == (before.cancel_at_s == after.at_s)
            assert before.superseded or after.at_s - before.at_s >= Typing().pause_s
        assert not requests[-1].superseded


def test_one_place_in_the_code_is_typed_forward_only() -> None:
    for requests in by_session(some_arrivals()).values():
        for before, after in pairwise(requests):
            if before.cut == after.cut:
                assert after.typed_chars > before.typed_chars
            else:
                assert after.typed_chars == 0


def test_bursts_of_one_session_are_several_requests_long() -> None:
    times = list(poisson(12, 500, Random(1)))

    strokes = keystrokes(times, Typing(), Random(2))

    run, longest = 1, 1
    for stroke in sorted(strokes, key=lambda stroke: stroke.session):
        run = run + 1 if stroke.superseded else 1
        longest = max(longest, run)
    assert longest >= 5
    assert mean(stroke.superseded for stroke in strokes) > 0.4


def test_a_session_stays_with_its_tenant() -> None:
    arrivals = some_arrivals(crowd=Crowd(typing=Typing(), tenants=3))

    assert {arrival.tenant for arrival in arrivals} == {"tenant-1", "tenant-2", "tenant-3"}
    for requests in by_session(arrivals).values():
        assert len({arrival.tenant for arrival in requests}) == 1


def test_more_tenants_change_nothing_but_the_tenants() -> None:
    one = some_arrivals(duration_s=20)
    three = some_arrivals(duration_s=20, crowd=Crowd(typing=Typing(), tenants=3))

    assert [replace(arrival, tenant="") for arrival in one] == [
        replace(arrival, tenant="") for arrival in three
    ]


def test_a_share_of_a_kind_comes_without_a_promise() -> None:
    kinds = tuple(replace(kind, batch_share=0.3) for kind in EDITOR.kinds)
    arrivals = build(Mix(name="batch", kinds=kinds), poisson(10, 500, Random(1)), 1)

    assert mean(arrival.batch for arrival in arrivals) == pytest.approx(0.3, abs=0.03)
    assert not any(arrival.batch for arrival in some_arrivals(duration_s=20))


def test_a_replayed_trace_keeps_its_instants_and_lengths() -> None:
    rows = [TraceRow(at_s=at / 7, prompt_tokens=3 + at, output_tokens=1 + at) for at in range(99)]

    arrivals = replay(REFERENCE, rows, 1)

    assert rows == [
        TraceRow(
            at_s=arrival.at_s,
            prompt_tokens=arrival.prompt_tokens,
            output_tokens=arrival.output_tokens,
        )
        for arrival in arrivals
    ]
    assert len({arrival.kind for arrival in arrivals}) == 4


def test_labelled_requests_hold_every_kind_and_its_text() -> None:
    labelled = list(labelled_requests(100, 1, Corpus.of_standard_library()))

    assert {request.kind for request in labelled} == {kind.name for kind in REFERENCE.kinds}
    assert all(request.prompt.text for request in labelled)
    assert all(request.arrival.session is None for request in labelled)
