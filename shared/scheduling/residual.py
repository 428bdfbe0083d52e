"""When a worker will have prefilled all it was sent: its last report, and what was sent since."""

import math
from collections.abc import Iterable

# A report that promises to be busy for longer is nonsense, or its worker is as good as lost.
_LONGEST_S = 60.0


def drained_at(
    *, reported_at: float, residual_s: float, unheard: Iterable[tuple[float, float]]
) -> float:
    """`unheard`: those the report does not count: when each is there, and how long it prefills."""
    is_sane = math.isfinite(residual_s) and math.isfinite(reported_at)
    drained = reported_at + min(max(0.0, residual_s), _LONGEST_S) if is_sane else 0.0
    for there_at, prefill_s in unheard:
        drained = max(drained, there_at) + prefill_s
    return drained
