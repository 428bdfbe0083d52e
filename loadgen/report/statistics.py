"""Statistics that one can check by hand: nearest ranks, plain shares."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

CURVE_POINTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """In seconds; None where that share was never reached, which is as good as infinite."""

    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None

    @classmethod
    def of(cls, values_s: Iterable[float]) -> "Percentiles":
        ordered = sorted(values_s)
        return cls(
            p50=_finite(nearest_rank(ordered, 0.50)),
            p90=_finite(nearest_rank(ordered, 0.90)),
            p95=_finite(nearest_rank(ordered, 0.95)),
            p99=_finite(nearest_rank(ordered, 0.99)),
        )


def nearest_rank(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all values do not exceed."""
    if not ordered:
        return math.inf
    # Rounded first, so that 0.95 of 20 is the 19th and not, by a last binary digit, the 20th.
    rank = math.ceil(round(share * len(ordered), 9))
    return ordered[max(rank, 1) - 1]


def jain(shares: Sequence[float]) -> float | None:
    """1 when all get the same, 1/n when one gets everything; None when nobody gets anything."""
    squares = sum(share**2 for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else None


def mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def distribution(values_s: Iterable[float], total: int) -> tuple[tuple[float, float], ...]:
    """(seconds, share of `total` that took no longer); ends below 1 when some never came."""
    ordered = sorted(values_s)
    count = len(ordered)
    if not count or not total:
        return ()
    ranks = sorted({max(1, round(count * i / CURVE_POINTS)) for i in range(CURVE_POINTS + 1)})
    return tuple((ordered[rank - 1], rank / total) for rank in ranks)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
