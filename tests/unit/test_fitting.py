"""How fast an engine steps, learned from its own timings."""

import math
from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.scheduling.fitting import StepFit, Timing
from shared.scheduling.step_time import StepTime
from tests.builders import REFERENCE

PRIOR = REFERENCE.step_time
SLOW_START = replace(PRIOR, base_s=2 * PRIOR.base_s)
TWICE_AS_FAST = StepTime(base_s=0.003, prefill_s=1 / 50_000, decode_s=0.02e-3, kv_s=10e-9)

anything = st.floats(allow_nan=True, allow_infinity=True)


def timings(truth: StepTime, steps: int, *, seed: int = 1) -> Iterator[Timing]:
    """A busy engine: a quarter of the steps prefill, timings are 3 % off, one in 200 is paused."""
    rng = Random(seed)
    for _ in range(steps):
        sequences = rng.randint(1, 40)
        done = Timing(
            took_s=1.0,
            prefill_tokens=rng.choice([0, 0, 0, rng.randint(50, 2048)]),
            prefill_context=0,
            sequences=sequences,
            kv_tokens=sequences * rng.randint(800, 1600),
        )
        paused_s = rng.choice([0.05, 3.0]) if rng.random() < 0.005 else 0.0
        yield replace(done, took_s=taken_s(truth, done) * rng.lognormvariate(0, 0.03) + paused_s)


def taken_s(truth: StepTime, done: Timing) -> float:
    return truth.step_s(
        prefill_tokens=int(done.prefill_tokens),
        prefill_context=done.prefill_context,
        sequences=int(done.sequences),
        kv_tokens=int(done.kv_tokens),
    )


def worst_error(fit: StepFit, truth: StepTime) -> float:
    fresh = timings(truth, 200, seed=99)
    return max(abs(fit.foretold_s(each) / taken_s(truth, each) - 1) for each in fresh)


@pytest.mark.parametrize("truth", [PRIOR, SLOW_START, TWICE_AS_FAST])
def test_steps_never_seen_are_foretold_within_five_percent_after_a_few_seconds(
    truth: StepTime,
) -> None:
    fit = StepFit(prior=PRIOR)

    for timing in timings(truth, 400):
        fit.learn(timing)

    assert worst_error(fit, truth) < 0.05
    assert 0.01 < fit.error < 0.06


def test_a_fixed_cost_that_doubles_is_followed_within_three_seconds() -> None:
    fit, elapsed_s = StepFit(prior=PRIOR), 0.0
    for timing in timings(PRIOR, 2000):
        fit.learn(timing)

    for timing in timings(SLOW_START, 1000, seed=2):
        elapsed_s += taken_s(SLOW_START, timing)
        fit.learn(timing)
        if worst_error(fit, SLOW_START) < 0.1:
            break

    assert elapsed_s < 3.0


def test_a_process_that_was_stopped_teaches_nothing() -> None:
    fit = StepFit(prior=PRIOR)
    for timing in timings(PRIOR, 500):
        fit.learn(timing)

    for timing in timings(PRIOR, 5, seed=2):
        fit.learn(replace(timing, took_s=30.0))

    assert worst_error(fit, PRIOR) < 0.1


def test_what_is_never_seen_stays_as_the_prior_said() -> None:
    fit = StepFit(prior=PRIOR)

    for timing in timings(SLOW_START, 3000):
        fit.learn(replace(timing, took_s=0.012, prefill_tokens=0, sequences=0, kv_tokens=0))

    fitted = fit.step_time()
    assert fitted.base_s == pytest.approx(0.012, rel=0.01)
    assert fitted.prefill_s == pytest.approx(PRIOR.prefill_s, rel=0.01)


def test_an_engine_without_any_prior_is_learned_from_nothing() -> None:
    fit = StepFit(prior=StepTime(base_s=0.0, prefill_s=0.0, decode_s=0.0, kv_s=0.0))

    for timing in timings(PRIOR, 1000):
        fit.learn(timing)

    assert worst_error(fit, PRIOR) < 0.1


@given(
    given_=st.lists(st.tuples(anything, anything, anything, anything, anything, anything)),
    prior=st.sampled_from([PRIOR, StepTime(base_s=0.0, prefill_s=0.0, decode_s=0.0, kv_s=0.0)]),
)
def test_no_timing_makes_a_coefficient_negative_or_nonsense(
    given_: list[tuple[float, ...]], prior: StepTime
) -> None:
    fit = StepFit(prior=prior)

    for took_s, prefill_tokens, prefill_context, sequences, kv_tokens, steps in given_ * 4:
        fit.learn(
            Timing(
                took_s=took_s,
                prefill_tokens=prefill_tokens,
                prefill_context=prefill_context,
                sequences=sequences,
                kv_tokens=kv_tokens,
                steps=steps,
            )
        )

    assert all(math.isfinite(value) and value >= 0 for value in fit.step_time().coefficients())
