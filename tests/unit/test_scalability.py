"""How much slower a request becomes among others."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.scheduling.scalability import Sample, Scalability
from tests.builders import REFERENCE


@given(
    alone_per_s=st.floats(0.01, 100),
    contention=st.floats(0, 1),
    coherence=st.floats(0, 0.01),
)
def test_a_curve_is_found_again_from_what_it_says(
    alone_per_s: float, contention: float, coherence: float
) -> None:
    curve = Scalability(alone_per_s=alone_per_s, contention=contention, coherence=coherence)

    fitted = Scalability.fitted(Sample(n, curve.throughput_per_s(n)) for n in (1, 2, 4, 8, 16, 32))

    assert fitted.alone_per_s == pytest.approx(alone_per_s, rel=1e-6)
    assert fitted.contention == pytest.approx(contention, rel=1e-6, abs=1e-9)
    assert fitted.coherence == pytest.approx(coherence, rel=1e-6, abs=1e-9)


@given(rates=st.lists(st.floats(0.1, 1000), min_size=3, max_size=8))
def test_nobody_is_faster_among_others_whatever_was_measured(rates: list[float]) -> None:
    samples = [Sample(2**power, per_s) for power, per_s in enumerate(rates)]

    try:
        curve = Scalability.fitted(samples)
    except ValueError:
        return

    slowdowns = [curve.slowdown(load) for load in range(1, 300)]
    assert slowdowns[0] == 1
    assert slowdowns == sorted(slowdowns)


def test_the_reference_engine_serves_what_its_step_time_allows() -> None:
    curve = Scalability.of_engine(REFERENCE, prompt_tokens=1600, output_tokens=160)

    alone_s = REFERENCE.alone_s(1600, 160)
    assert 1 / curve.alone_per_s == pytest.approx(alone_s, rel=0.02)
    # 64 ms of prefill and 12 ms of decoding that nobody else can do meanwhile.
    assert curve.throughput_per_s(200) == pytest.approx(1 / 0.076, rel=0.1)


@pytest.mark.parametrize(
    "samples",
    [
        [],
        [Sample(1, 1.0), Sample(1, 1.1), Sample(2, 1.5)],
        [Sample(1, 1.0), Sample(2, 0.0), Sample(4, 2.0)],
        [Sample(1, 1.0), Sample(2, math.nan), Sample(4, 2.0)],
        [Sample(0, 1.0), Sample(2, 1.0), Sample(4, 2.0)],
    ],
)
def test_too_few_loads_and_nonsense_are_refused(samples: list[Sample]) -> None:
    with pytest.raises(ValueError, match="sample"):
        Scalability.fitted(samples)
