"""A comparison as Markdown: means over seeds, and paired differences with their intervals."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import mean, stdev
from typing import Final

from loadgen.compare import SLO, Row

OURS: Final = "cato"
# Student's t for a two-sided 95 % interval, by degrees of freedom.
_T: Final = (math.inf, 12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
_T_MANY: Final = 2.0
_SLO_LOWER: Final = 0.90

Place = tuple[int, str]


def markdown(rows: Sequence[Row]) -> str:
    parts = [part for place in places(rows) for part in _section(place, rows)]
    return "\n".join(parts) + "\n"


def places(rows: Iterable[Row]) -> list[Place]:
    return sorted({(row.workers, row.arrivals) for row in rows})


def policies(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(row.policy for row in rows))


def loads(rows: Iterable[Row]) -> list[float]:
    return sorted({row.load for row in rows})


def _section(place: Place, rows: Sequence[Row]) -> Iterator[str]:
    here = [row for row in rows if (row.workers, row.arrivals) == place]
    seeds = sorted({row.seed for row in here})
    workers, arrivals = place
    yield f"## {workers} workers, {arrivals}, {len(seeds)} seeds"
    yield ""
    yield (
        f"Capacity {here[0].capacity:.1f} requests/s. Attainment / mean over kinds; "
        "shed and late count as not kept."
    )
    yield ""
    yield from _table(here, lambda row: row.attainment, lambda row: row.kind_mean)
    told = f"{SLO:.0%} ({_SLO_LOWER:.0%})"
    yield f"Useful utilization, and the highest load with {told} of the feasible kept:"
    yield ""
    yield from _utilization(here)
    if OURS in policies(here) and len(seeds) > 1:
        yield f"`{OURS}` ahead, in points of attainment / of the mean over kinds, paired, 95 %:"
        yield ""
        yield from _differences(here)


def _table(
    rows: Sequence[Row], first: Callable[[Row], float], second: Callable[[Row], float]
) -> Iterator[str]:
    yield from _head("policy", loads(rows))
    for policy in policies(rows):
        cells = [_of(rows, policy, load) for load in loads(rows)]
        told = [f"{_mean(cell, first):.3f}/{_mean(cell, second):.3f}" for cell in cells]
        yield f"| `{policy}` | {' | '.join(told)} |"
    yield ""


def _utilization(rows: Sequence[Row]) -> Iterator[str]:
    yield from _head("policy", loads(rows), "SLO capacity")
    for policy in policies(rows):
        cells = [_of(rows, policy, load) for load in loads(rows)]
        told = [f"{_mean(cell, lambda row: row.useful_utilization):.3f}" for cell in cells]
        slo = " ".join(
            text.format(slo_capacity(rows, policy, share))
            for text, share in (("{}", SLO), ("({})", _SLO_LOWER))
        )
        yield f"| `{policy}` | {' | '.join(told)} | {slo} |"
    yield ""


def slo_capacity(rows: Sequence[Row], policy: str, share: float) -> str:
    """The highest load up to which, on average over seeds, so many of the feasible were kept."""
    highest = None
    for load in loads(rows):
        if _mean(_of(rows, policy, load), lambda row: row.feasible_attainment) < share:
            break
        highest = load
    return "none" if highest is None else f"{highest:g}×"


def _differences(rows: Sequence[Row]) -> Iterator[str]:
    yield from _head("rival", loads(rows))
    for policy in policies(rows):
        if policy == OURS:
            continue
        cells = [_of(rows, policy, load) for load in loads(rows)]
        ours = [_of(rows, OURS, load) for load in loads(rows)]
        told = [
            f"{_paired(a, b, lambda row: row.attainment)} "
            f"/ {_paired(a, b, lambda row: row.kind_mean)}"
            for a, b in zip(ours, cells, strict=True)
        ]
        yield f"| `{policy}` | {' | '.join(told)} |"
    yield ""


def _paired(ours: Sequence[Row], theirs: Sequence[Row], figure: Callable[[Row], float]) -> str:
    by_seed = {row.seed: figure(row) for row in theirs}
    points = [100 * (figure(row) - by_seed[row.seed]) for row in ours if row.seed in by_seed]
    if len(points) < 2:  # noqa: PLR2004 - one difference has no interval
        return f"{mean(points):+.1f}"
    t = _T[len(points) - 1] if len(points) <= len(_T) else _T_MANY
    return f"{mean(points):+.1f} ± {t * stdev(points) / math.sqrt(len(points)):.1f}"


def _head(first: str, of_loads: Sequence[float], *more: str) -> Iterator[str]:
    columns = [first, *(f"{load:g}×" for load in of_loads), *more]
    yield f"| {' | '.join(columns)} |"
    yield "|" + "---|" * len(columns)


def _of(rows: Sequence[Row], policy: str, load: float) -> list[Row]:
    return [row for row in rows if row.policy == policy and row.load == load]


def _mean(rows: Sequence[Row], figure: Callable[[Row], float]) -> float:
    return mean(map(figure, rows)) if rows else math.nan
