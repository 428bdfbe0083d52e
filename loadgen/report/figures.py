"""The figures of one run, by kind and in total, computed from what its clients saw."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from loadgen.report.statistics import Percentiles
from shared.domain.task import Promise

TOTAL: Final = "all"

Curve = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """`kept`: over all counted requests, infinite for those whose promise was not kept.

    `answered`: over the answered ones only, whatever was promised; flattered by every drop.
    `curve`: (seconds, share of the counted requests that had it by then).
    """

    kept: Percentiles
    answered: Percentiles
    curve: Curve


@dataclass(frozen=True, slots=True, kw_only=True)
class KindFigures:
    """`counted` leaves out who left before anybody could have finished; `attainment` is `on_time`
    of these. `late` were answered after their promise. `within_limits_per_s` counts against the
    limits the reader asked for, where there are any."""

    kind: str
    promise: Promise | None
    requests: int
    counted: int
    on_time: int
    attainment: float | None
    goodput_per_s: float
    within_limits_per_s: float | None
    answered: int
    late: int
    shed: int
    expired: int
    errors: int
    cancelled: int
    superseded: int
    output_tokens: int
    ttft_s: Latencies
    e2e_s: Latencies


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What was asked in one stretch of the run, and how much of it was kept."""

    at_s: float
    requests_per_s: float
    attainment: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """`fairness` is Jain's index over the tenants' attainments; `misclassified` is a share of the
    requests whose kind the house had to find out; `causes` counts errors by their cause."""

    total: KindFigures
    kinds: tuple[KindFigures, ...]
    mean_over_kinds: float | None
    fairness: float | None
    tenants: int
    misclassified: float | None
    queued_s: Percentiles
    workers: Mapping[str, int]
    causes: Mapping[str, int]
    is_synthetic: bool
    moments: tuple[Moment, ...]
