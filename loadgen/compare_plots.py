"""A comparison as plots: promises kept against load, useful time, and how long answers took."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Final

from loadgen.compare import Compared, Row
from loadgen.compare_table import LIMITS, Figure, loads, places, policies, under
from loadgen.extra import extra
from loadgen.report.figures import KindFigures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Sheet

_SIZE_INCHES: Final = (6.0, 3.4)
# What comes later than this many promises is late whoever looks.
_PROMISES_SHOWN: Final = 3.0
# The same comparison gives the same files.
_STYLE: Final = {"svg.hashsalt": "cato", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3}


def draw(compared: Sequence[Compared], out: Path) -> None:
    """Writes SVG files into `out`. Needs the extra `load`; raises ExtraMissing."""
    with extra("matplotlib").rc_context(_STYLE):
        for workers, arrivals in places(each.row for each in compared):
            here = [c for c in compared if (c.row.workers, c.row.arrivals) == (workers, arrivals)]
            for name, sheet in _sheets(here):
                file = out / f"{name}-{workers}-{arrivals}.svg"
                sheet.savefig(file, metadata={"Date": None})


def _sheets(compared: Sequence[Compared]) -> Iterator[tuple[str, "Sheet"]]:
    rows = [each.row for each in compared]
    yield "attainment", _attainment(rows)
    yield "utilization", _utilization(rows)
    yield "latency", _latency(compared)


def _attainment(rows: Sequence[Row]) -> "Sheet":
    sheet, ((all_, kinds),) = _sheet(1, 2)
    for policy in policies(rows):
        _against_load(all_, rows, policy, lambda row: row.attainment, policy)
        _against_load(kinds, rows, policy, lambda row: row.kind_mean, policy)
    for (name, limit), dashes in zip(LIMITS.items(), (":", "--"), strict=True):
        _against_load(all_, rows, policies(rows)[0], limit, name, color="black", linestyle=dashes)
    for axes, title in ((all_, "promises kept"), (kinds, "promises kept, mean over kinds")):
        axes.set(title=title, xlabel="load, × capacity", ylim=(0.0, 1.0))
    all_.legend(fontsize=7)
    return sheet


def _utilization(rows: Sequence[Row]) -> "Sheet":
    sheet, ((axes,),) = _sheet(1, 1)
    for policy in policies(rows):
        _against_load(axes, rows, policy, lambda row: row.useful_utilization, policy)
    axes.set(title="useful utilization", xlabel="load, × capacity", ylim=(0.0, 1.0))
    axes.legend(fontsize=7)
    return sheet


def _against_load(
    axes: "Axes",
    rows: Sequence[Row],
    policy: str,
    figure: Figure,
    label: str,
    *,
    color: str | None = None,
    linestyle: str = "-",
) -> None:
    points = [mean(map(figure, under(rows, policy, load))) for load in loads(rows)]
    axes.plot(loads(rows), points, label=label, color=color, linestyle=linestyle, marker=".")


def _latency(compared: Sequence[Compared]) -> "Sheet":
    """Of one seed, at the load nearest to capacity: a row for each kind, first and last token."""
    seed = min(each.row.seed for each in compared)
    load = min(loads(each.row for each in compared), key=lambda load: abs(load - 1.0))
    shown = [each for each in compared if (each.row.seed, each.row.load) == (seed, load)]
    names = [kind.kind for kind in shown[0].figures.kinds]
    sheet, grid = _sheet(len(names), 2)
    for name, (first, last) in zip(names, grid, strict=True):
        for each in shown:
            kind = next(kind for kind in each.figures.kinds if kind.kind == name)
            _curve(first, kind.ttft_s.curve, each.row.policy)
            _curve(last, kind.e2e_s.curve, each.row.policy)
        first.set(title=f"{name}: first token at {load:g}×", xlabel="s", ylim=(0.0, 1.0))
        last.set(title=f"{name}: last token at {load:g}×", xlabel="s", ylim=(0.0, 1.0))
        _mark_promise(first, last, kind)
    if names:
        grid[0][0].legend(fontsize=7)
    return sheet


def _curve(axes: "Axes", curve: Sequence[tuple[float, float]], label: str) -> None:
    axes.step([s for s, _ in curve], [share for _, share in curve], where="post", label=label)


def _mark_promise(first: "Axes", last: "Axes", kind: KindFigures) -> None:
    promise = kind.promise
    if promise is None:
        return
    for axes, promised_s in ((first, promise.ttft_s), (last, promise.e2e_s)):
        if promised_s is not None:
            axes.axvline(promised_s, color="black", linestyle="--")
            axes.set_xlim(0.0, _PROMISES_SHOWN * promised_s)


def _sheet(rows: int, columns: int) -> tuple["Sheet", list[list["Axes"]]]:
    width, height = _SIZE_INCHES
    size = (columns * width, max(1, rows) * height)
    sheet = extra("matplotlib.figure").Figure(figsize=size, layout="constrained")
    grid = sheet.subplots(max(1, rows), columns, squeeze=False)
    return sheet, [list(row) for row in grid]
