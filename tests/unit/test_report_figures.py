"""The figures of a report can be checked by hand."""

import math

import pytest

from loadgen.report.observation import Ending, Observation, pacing_late_s
from loadgen.report.statistics import Percentiles, distribution, jain, nearest_rank
from loadgen.report.tally import figures_of
from shared.domain.task import Promise

_TTFT = Promise(ttft_s=0.3)
_PACED = Promise(ttft_s=1.0, tpot_s=0.05)


def seen(  # noqa: PLR0913  a builder has one argument for everything a test may care about
    ttft_s: float | None = 0.1,
    *,
    kind: str = "completion",
    tenant: str = "tenant-1",
    at_s: float = 0.0,
    promise: Promise = _TTFT,
    ending: Ending = Ending.ANSWERED,
    e2e_s: float | None = None,
    wanted_s: float | None = None,
    alone_s: float = 0.1,
    pacing: float | None = None,
    predicted_kind: str | None = None,
) -> Observation:
    last_s = e2e_s if e2e_s is not None else ttft_s
    return Observation(
        kind=kind,
        tenant=tenant,
        at_s=at_s,
        promise=promise,
        ending=ending,
        ttft_s=ttft_s,
        e2e_s=last_s if ending is Ending.ANSWERED else None,
        pacing_late_s=pacing,
        output_tokens=10,
        wanted_s=wanted_s,
        alone_s=alone_s,
        predicted_kind=predicted_kind,
    )


def test_a_percentile_is_a_value_that_was_seen() -> None:
    values = [float(i) for i in range(1, 21)]

    assert nearest_rank(values, 0.5) == 10
    assert nearest_rank(values, 0.95) == 19
    assert nearest_rank(values, 0.99) == 20
    assert nearest_rank([], 0.5) == math.inf


def test_a_percentile_that_was_never_reached_is_none() -> None:
    percentiles = Percentiles.of([0.1] * 94 + [math.inf] * 6)

    assert (percentiles.p50, percentiles.p90) == (0.1, 0.1)
    assert (percentiles.p95, percentiles.p99) == (None, None)


def test_attainment_counts_whoever_got_no_answer() -> None:
    observations = [
        seen(0.1),
        seen(0.4),
        seen(None, ending=Ending.SHED),
        seen(None, ending=Ending.ERROR),
    ]

    total = figures_of(observations, duration_s=2).total

    assert (total.counted, total.on_time, total.attainment) == (4, 1, 0.25)
    assert (total.late, total.shed, total.errors) == (1, 1, 1)
    assert total.goodput_per_s == 0.5


def test_who_leaves_before_anybody_could_have_finished_is_not_counted() -> None:
    left_at_once = seen(None, ending=Ending.CANCELLED, wanted_s=0.05, alone_s=0.1)
    left_later = seen(None, ending=Ending.CANCELLED, wanted_s=0.2, alone_s=0.1)

    total = figures_of([seen(), left_at_once, left_later], duration_s=1).total

    assert (total.requests, total.counted, total.on_time) == (3, 2, 1)
    assert total.cancelled == 2


def test_a_completion_that_came_in_time_is_kept_although_its_writer_typed_on() -> None:
    replaced = seen(0.1, ending=Ending.SUPERSEDED, wanted_s=0.2)
    late = seen(0.35, ending=Ending.SUPERSEDED, wanted_s=0.4)

    assert replaced.is_kept()
    assert not late.is_kept()


def test_half_a_summary_keeps_no_promise() -> None:
    half = seen(0.1, promise=Promise(e2e_s=5.0), ending=Ending.CANCELLED, wanted_s=2.0)

    assert not half.is_kept()


def test_one_token_that_is_late_breaks_the_promise_even_if_the_last_is_early() -> None:
    times_s = [0.9, 1.2, 1.21, 1.22]

    late_s = pacing_late_s(_PACED, times_s)

    assert late_s == pytest.approx(0.15)
    assert not seen(0.9, promise=_PACED, e2e_s=1.0, pacing=late_s).is_kept()
    assert seen(0.9, promise=_PACED, e2e_s=1.0, pacing=-0.01).is_kept()


def test_nothing_is_late_where_no_pace_was_promised() -> None:
    assert pacing_late_s(_TTFT, [5.0, 9.0]) is None


def test_percentiles_of_the_kept_are_infinite_where_those_of_the_answered_look_well() -> None:
    observations = [seen(0.1)] * 9 + [seen(None, ending=Ending.SHED)]

    ttft = figures_of(observations, duration_s=1).total.ttft_s

    assert (ttft.answered.p95, ttft.kept.p90, ttft.kept.p95) == (0.1, 0.1, None)


def test_the_curve_ends_at_the_share_that_ever_came() -> None:
    curve = distribution([0.3, 0.1, 0.2], 4)

    assert curve == ((0.1, 0.25), (0.2, 0.5), (0.3, 0.75))


def test_kinds_weigh_the_same_in_their_mean() -> None:
    few = [seen(9.0, kind="translation", promise=Promise(e2e_s=5.0))]
    many = [seen(0.1)] * 9

    figures = figures_of([*few, *many], duration_s=1)

    assert (figures.total.attainment, figures.mean_over_kinds) == (0.9, 0.5)


def test_jain_is_one_for_equals_and_one_in_n_for_a_favourite() -> None:
    assert jain([0.5, 0.5, 0.5]) == pytest.approx(1)
    assert jain([1.0, 0.0, 0.0, 0.0]) == 0.25
    assert jain([0.0, 0.0]) is None


def test_fairness_is_over_tenants() -> None:
    observations = [seen(0.1, tenant="tenant-1"), seen(9.0, tenant="tenant-2")]

    figures = figures_of(observations, duration_s=1)

    assert (figures.fairness, figures.tenants) == (0.5, 2)


def test_only_requests_whose_kind_was_found_out_can_be_misclassified() -> None:
    observations = [seen(), seen(predicted_kind="completion"), seen(predicted_kind="chat")]

    assert figures_of(observations, duration_s=1).misclassified == 0.5


def test_limits_of_the_reader_are_counted_apart_from_promises() -> None:
    observations = [seen(0.4, e2e_s=1.0), seen(0.4, e2e_s=9.0)]

    total = figures_of(observations, duration_s=1, limits=Promise(ttft_s=0.5, e2e_s=5.0)).total

    assert (total.attainment, total.within_limits_per_s) == (0.0, 1.0)


def test_a_last_stretch_that_is_cut_short_has_the_rate_of_those_before() -> None:
    observations = [seen(at_s=at_s / 4) for at_s in range(10)]

    moments = figures_of(observations, duration_s=2.5).moments

    assert [moment.requests_per_s for moment in moments] == [4, 4, 4]


def test_moments_cover_the_whole_run() -> None:
    observations = [seen(at_s=0.5), seen(9.0, at_s=2.5), seen(at_s=2.6)]

    moments = figures_of(observations, duration_s=3).moments

    assert [(m.requests_per_s, m.attainment) for m in moments] == [(1, 1), (0, None), (2, 0.5)]


def test_nothing_seen_is_no_division_by_zero() -> None:
    figures = figures_of([], duration_s=1)

    assert (figures.total.attainment, figures.mean_over_kinds, figures.fairness) == (None,) * 3


def test_who_left_content_has_no_last_token_that_was_late() -> None:
    left = seen(0.1, ending=Ending.SUPERSEDED, wanted_s=0.2)

    total = figures_of([seen(0.2), left], duration_s=1).total

    assert total.attainment == 1
    assert (total.ttft_s.kept.p99, total.e2e_s.kept.p99) == (0.2, 0.2)
