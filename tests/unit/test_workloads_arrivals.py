"""Arrivals are what they claim to be: in order, in time, at their rate, as bursty as they say."""

from collections import Counter
from itertools import pairwise
from random import Random
from statistics import mean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.workloads.arrivals import ARRIVALS, gamma, on_off, poisson
from loadgen.workloads.azure import synthetic_azure
from loadgen.workloads.errors import ArrivalsImpossible

AN_HOUR_S = 3436


def cv_of_gaps(times: list[float]) -> float:
    gaps = [after - before for before, after in pairwise(times)]
    return pstdev(gaps) / mean(gaps)


def share_below(values: list[int], share: float) -> int:
    return sorted(values)[int(share * len(values))]


@pytest.mark.parametrize("name", ARRIVALS)
@given(rate=st.floats(0.1, 200), duration_s=st.floats(0.1, 20), seed=st.integers(0, 2**32))
def test_instants_rise_and_stay_within_the_duration(
    name: str, rate: float, duration_s: float, seed: int
) -> None:
    times = list(ARRIVALS[name](rate, duration_s, Random(seed)))

    assert times == sorted(times)
    assert all(0 <= at_s < duration_s for at_s in times)


@pytest.mark.parametrize("name", ARRIVALS)
def test_the_same_seed_gives_the_same_instants(name: str) -> None:
    first = list(ARRIVALS[name](5, 60, Random(7)))
    second = list(ARRIVALS[name](5, 60, Random(7)))
    other = list(ARRIVALS[name](5, 60, Random(8)))

    assert first == second != other


@pytest.mark.parametrize("name", ARRIVALS)
def test_every_process_has_the_rate_it_was_asked_for(name: str) -> None:
    times = list(ARRIVALS[name](10, 10_000, Random(1)))

    assert len(times) / 10_000 == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize("cv", [0.5, 1, 2, 4])
def test_gaps_vary_as_much_as_asked(cv: float) -> None:
    times = list(gamma(10, 5_000, Random(2), cv=cv))

    assert cv_of_gaps(times) == pytest.approx(cv, rel=0.05)


def test_short_runs_of_bursty_arrivals_do_not_begin_with_a_burst() -> None:
    counts = [len(list(gamma(2, 5, Random(seed), cv=4))) for seed in range(8_000)]

    assert mean(counts) == pytest.approx(10, rel=0.05)


def test_poisson_counts_vary_as_much_as_their_mean() -> None:
    counts = Counter(int(at_s) for at_s in poisson(10, 5_000, Random(3)))
    per_second = [counts[second] for second in range(5_000)]

    assert pstdev(per_second) ** 2 == pytest.approx(10, rel=0.1)


def test_a_team_that_rests_is_silent_for_its_share_of_the_time() -> None:
    times = list(on_off(20, 20_000, Random(4), on_s=10, off_s=30))
    busy = {int(at_s) for at_s in times}

    assert len(busy) / 20_000 == pytest.approx(0.25 + 1 / 40, abs=0.03)


@pytest.mark.parametrize("name", ARRIVALS)
@pytest.mark.parametrize(
    ("rate", "duration_s"), [(0, 1), (-1, 1), (1, 0), (float("nan"), 1), (1, float("inf"))]
)
def test_an_impossible_rate_or_duration_is_refused_at_once(
    name: str, rate: float, duration_s: float
) -> None:
    with pytest.raises(ArrivalsImpossible, match="a finite number above 0"):
        ARRIVALS[name](rate, duration_s, Random(1))


@pytest.mark.parametrize("seed", range(6))
def test_the_twin_arrives_like_the_trace_it_was_fitted_to(seed: int) -> None:
    times = [row.at_s for row in synthetic_azure(seed, AN_HOUR_S)]
    seconds = Counter(int(at_s) for at_s in times)

    # The trace: 2.57 a second, CV 13.15, 73.4 % of the seconds empty, at most 67 in a second.
    assert len(times) / AN_HOUR_S == pytest.approx(2.57, rel=0.1)
    assert cv_of_gaps(times) == pytest.approx(13.15, rel=0.1)
    assert 1 - len(seconds) / AN_HOUR_S == pytest.approx(0.734, abs=0.03)
    assert max(seconds.values()) == pytest.approx(67, rel=0.35)


@pytest.mark.parametrize("seed", range(6))
def test_the_twin_is_as_long_as_the_trace_it_was_fitted_to(seed: int) -> None:
    rows = list(synthetic_azure(seed, AN_HOUR_S))
    prompts = [row.prompt_tokens for row in rows]
    outputs = [row.output_tokens for row in rows]

    assert mean(prompts) == pytest.approx(2048, rel=0.05)
    assert mean(outputs) == pytest.approx(28, rel=0.1)
    for share, tokens in {0.1: 147, 0.5: 1469, 0.9: 5194, 0.99: 7436}.items():
        assert share_below(prompts, share) == pytest.approx(tokens, rel=0.1)
    for share, tokens in {0.1: 7, 0.5: 13, 0.9: 55, 0.99: 252}.items():
        assert share_below(outputs, share) == pytest.approx(tokens, rel=0.2)


def test_the_twin_of_a_seed_is_always_the_same() -> None:
    assert list(synthetic_azure(1, 60)) == list(synthetic_azure(1, 60))
