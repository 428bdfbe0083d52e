"""When a worker will have prefilled all it was sent."""

import math

from hypothesis import given
from hypothesis import strategies as st

from shared.scheduling.residual import drained_at

anything = st.floats(allow_nan=True, allow_infinity=True)


def test_what_was_sent_since_the_report_comes_on_top() -> None:
    at = drained_at(reported_at=10.0, residual_s=0.5, unheard=[(10.1, 0.2), (10.9, 0.1)])

    assert math.isclose(at, 11.0)


def test_a_worker_with_nothing_to_do_is_drained_when_it_said_so() -> None:
    assert drained_at(reported_at=10.0, residual_s=0.0, unheard=[]) == 10.0


@given(reported_at=st.floats(0, 1e9), residual_s=anything)
def test_a_report_of_nonsense_closes_a_worker_for_a_minute_at_most(
    reported_at: float, residual_s: float
) -> None:
    assert (
        0
        <= drained_at(reported_at=reported_at, residual_s=residual_s, unheard=[])
        <= (reported_at + 60)
    )
