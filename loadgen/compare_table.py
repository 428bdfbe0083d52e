"""A comparison as Markdown: means over seeds, and paired differences with their intervals."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import mean, stdev
from typing import Final

from loadgen.compare import Row

OURS: Final = "cato"
SLO: Final = 0.95
SLO_LOWER: Final = 0.90
# Student's t for a two-sided 95 % interval, by degrees of freedom; for more the last one will do,
# which is a little too wide.
_T: Final = (math.inf, 12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)

Place = tuple[int, str]
Figure = Callable[[Row], float]


def markdown(rows: Sequence[Row]) -> str:
    parts = [part for place in places(rows) for part in _section(place, rows)]
    return "\n".join(parts) + "\n"


def places(rows: Iterable[Row]) -> list[Place]:
    return sorted({(row.workers, row.arrivals) for row in rows})


def at(rows: Iterable[Row], place: Place) -> list[Row]:
    return [row for row in rows if (row.workers, row.arrivals) == place]


def policies(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(row.policy for row in rows))


def loads(rows: Iterable[Row]) -> list[float]:
    return sorted({row.load for row in rows})


def under(rows: Iterable[Row], policy: str, load: float) -> list[Row]:
    return [row for row in rows if row.policy == policy and row.load == load]


def _section(place: Place, rows: Sequence[Row]) -> Iterator[str]:
    here = at(rows, place)
    seeds = sorted({row.seed for row in here})
    workers, arrivals = place
    yield f"## {workers} workers, {arrivals}, {len(seeds)} seeds"
    yield ""
    yield (
        f"Capacity {here[0].capacity:.1f} requests/s. Attainment / mean over kinds; "
        "shed and late count as not kept."
    )
    yield ""
    yield from _attainments(here)
    told = f"{SLO:.0%} ({SLO_LOWER:.0%})"
    yield (
        "Useful utilization / wasted on clients who left before, and the highest load with "
        f"{told} of the feasible kept:"
    )
    yield ""
    yield from _utilization(here)
    if OURS in policies(here) and len(seeds) > 1:
        yield f"`{OURS}` ahead, in points of attainment / of the mean over kinds, paired, 95 %:"
        yield ""
        yield from _differences(here)


def _attainments(rows: Sequence[Row]) -> Iterator[str]:
    yield from _head("policy", loads(rows))
    for policy in policies(rows):
        cells = [under(rows, policy, load) for load in loads(rows)]
        told = [f"{_mean(cell, _attainment):.3f}/{_mean(cell, _kind_mean):.3f}" for cell in cells]
        yield f"| `{policy}` | {' | '.join(told)} |"
    for name, limit in LIMITS.items():
        cells = [under(rows, policies(rows)[0], load) for load in loads(rows)]
        told = [f"{_mean(cell, limit):.3f}" for cell in cells]
        if "nan" not in told:
            yield f"| {name} | {' | '.join(told)} |"
    yield ""


def _utilization(rows: Sequence[Row]) -> Iterator[str]:
    yield from _head("policy", loads(rows), "SLO capacity")
    for policy in policies(rows):
        cells = [under(rows, policy, load) for load in loads(rows)]
        told = [f"{_mean(cell, _useful):.3f}/{_mean(cell, _wasted):.3f}" for cell in cells]
        slo = f"{slo_capacity(rows, policy, SLO)} ({slo_capacity(rows, policy, SLO_LOWER)})"
        yield f"| `{policy}` | {' | '.join(told)} | {slo} |"
    for share in (SLO, SLO_LOWER):
        if all(slo_capacity(rows, policy, share) == _NOWHERE for policy in policies(rows)):
            yield ""
            yield f"Nobody keeps {share:.0%} of the feasible at any of these loads."
    yield ""


_NOWHERE: Final = "none"


def slo_capacity(rows: Sequence[Row], policy: str, share: float) -> str:
    """The load at which, on average over seeds, no more than this share of the feasible is kept.

    Between two measured loads it is interpolated; beyond the last one nothing is claimed.
    """
    before: tuple[float, float] | None = None
    for load in loads(rows):
        kept = _mean(under(rows, policy, load), lambda row: row.feasible_attainment)
        if kept < share:
            if before is None:
                return _NOWHERE
            last, last_kept = before
            return f"{last + (load - last) * (last_kept - share) / (last_kept - kept):.2f}×"
        before = load, kept
    return _NOWHERE if before is None else f"≥ {before[0]:g}×"


def _differences(rows: Sequence[Row]) -> Iterator[str]:
    yield from _head("rival", loads(rows))
    rivals = [policy for policy in policies(rows) if policy != OURS]
    for rival in rivals:
        told = [
            " / ".join(_paired(rows, rival, load, figure) for figure in (_attainment, _kind_mean))
            for load in loads(rows)
        ]
        yield f"| `{rival}` | {' | '.join(told)} |"
    if len(rivals) > 1:
        told = [
            " / ".join(_to_best(rows, rivals, load, figure) for figure in (_attainment, _kind_mean))
            for load in loads(rows)
        ]
        yield f"| the best of them | {' | '.join(told)} |"
    yield ""


def _to_best(rows: Sequence[Row], rivals: Sequence[str], load: float, figure: Figure) -> str:
    best = max(rivals, key=lambda rival: _mean(under(rows, rival, load), figure))
    return f"{_paired(rows, best, load, figure)} (`{best}`)"


def _paired(rows: Sequence[Row], rival: str, load: float, figure: Figure) -> str:
    by_seed = {row.seed: figure(row) for row in under(rows, rival, load)}
    ours = under(rows, OURS, load)
    points = [100 * (figure(row) - by_seed[row.seed]) for row in ours if row.seed in by_seed]
    if len(points) < 2:  # noqa: PLR2004 - one difference has no interval
        return f"{mean(points):+.1f}"
    error = student_t(len(points)) * stdev(points) / math.sqrt(len(points))
    return f"{mean(points):+.1f} ± {error:.1f}"


def student_t(values: int) -> float:
    """By how many standard errors the mean of so many values may be off, with 95 % certainty."""
    return _T[min(values, len(_T)) - 1]


def _head(first: str, of_loads: Sequence[float], *more: str) -> Iterator[str]:
    columns = [first, *(f"{load:g}×" for load in of_loads), *more]
    yield f"| {' | '.join(columns)} |"
    yield "|" + "---|" * len(columns)


def _mean(rows: Sequence[Row], figure: Figure) -> float:
    return mean(map(figure, rows)) if rows else math.nan


def _attainment(row: Row) -> float:
    return row.attainment


def _kind_mean(row: Row) -> float:
    return row.kind_mean


def _useful(row: Row) -> float:
    return row.useful_utilization


def _wasted(row: Row) -> float:
    return row.wasted_utilization


def _hindsight(row: Row) -> float:
    return math.nan if row.hindsight is None else row.hindsight


def _upper_bound(row: Row) -> float:
    return math.nan if row.upper_bound is None else row.upper_bound


LIMITS: Final = {"hindsight": _hindsight, "upper bound (LP)": _upper_bound}
