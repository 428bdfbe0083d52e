"""A comparison as a page of plots that needs nothing beside itself."""

from collections.abc import Callable, Iterator, Sequence
from html import escape
from itertools import cycle
from typing import Final

from loadgen.compare import Compared, Row
from loadgen.compare_table import Place, loads, places, policies
from loadgen.report.figures import Latencies
from loadgen.report.plots import Line, Plot
from shared.domain.task import Promise

_COLOURS: Final = (
    "#1b6ca8", "#c0392b", "#1e8449", "#8e44ad", "#d68910",
    "#16a085", "#7f8c8d", "#34495e", "#e84393",
)  # fmt: skip
_STYLE: Final = """body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto}
figure{display:inline-block;width:30rem;margin:0 1rem 1.5rem 0}figcaption{font-weight:600}
.grid{stroke:#8884}.tick{font-size:10px;fill:#888}.end{text-anchor:end}.middle{text-anchor:middle}
line.mark{stroke:#888;stroke-dasharray:3}text.mark{font-size:9px;fill:#888}
.run{fill:none;stroke-width:2}.key span{margin-right:1rem;font-weight:600}"""


def page(compared: Sequence[Compared]) -> str:
    rows = [each.row for each in compared]
    names = policies(rows)
    colours = "".join(
        f".run-{i}{{stroke:{colour}}}.key-{i}{{color:{colour}}}"
        for i, colour in zip(range(len(names)), cycle(_COLOURS), strict=False)
    )
    key = "".join(f'<span class="key-{i}">{escape(name)}</span>' for i, name in enumerate(names))
    body = "".join(part for place in places(rows) for part in _section(place, compared, names))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Policies compared</title>'
        f"<style>{_STYLE}{colours}</style><h1>Policies compared</h1>"
        f'<p class="key">{key}</p>{body}</html>'
    )


def _section(place: Place, compared: Sequence[Compared], names: Sequence[str]) -> Iterator[str]:
    workers, arrivals = place
    here = [each for each in compared if (each.row.workers, each.row.arrivals) == place]
    rows = [each.row for each in here]
    yield f"<h2>{workers} workers, {escape(arrivals)}</h2>"
    yield _against_load("Promises kept", rows, names, lambda row: row.attainment)
    yield _against_load("Promises kept, mean over kinds", rows, names, lambda row: row.kind_mean)
    yield _against_load("Useful utilization", rows, names, lambda row: row.useful_utilization)
    yield from _curves(here, names)


def _against_load(
    title: str, rows: Sequence[Row], names: Sequence[str], figure: Callable[[Row], float]
) -> str:
    lines = []
    for style, name in enumerate(names):
        points = []
        for load in loads(rows):
            seen = [figure(row) for row in rows if row.policy == name and row.load == load]
            points.append((load, sum(seen) / len(seen) if seen else None))
        lines.append(Line(points=points, style=style))
    most = max(loads(rows))
    return Plot(
        title=title, x_unit="× capacity", lines=lines, x_most=most, y_most=1.0, is_share=True
    ).svg()


def _curves(compared: Sequence[Compared], names: Sequence[str]) -> Iterator[str]:
    """Of one seed, at the load nearest to capacity."""
    seed = min(each.row.seed for each in compared)
    load = min(loads(each.row for each in compared), key=lambda load: abs(load - 1.0))
    shown = [each for each in compared if (each.row.seed, each.row.load) == (seed, load)]
    for kind in sorted({kind.kind for each in shown for kind in each.figures.kinds}):
        yield _curve(f"{kind}: first token at {load:g}×", shown, names, kind, _first)
        yield _curve(f"{kind}: last token at {load:g}×", shown, names, kind, _last)


def _curve(
    title: str, shown: Sequence[Compared], names: Sequence[str], kind: str, what: "_Which"
) -> str:
    lines, mark = [], None
    for each in shown:
        for figures in each.figures.kinds:
            if figures.kind == kind:
                latencies, mark = what(figures.ttft_s, figures.e2e_s, figures.promise)
                style = names.index(each.row.policy)
                lines.append(Line(points=latencies.curve, style=style, is_stepped=True))
    reach = max((line.points[-1][0] for line in lines if line.points), default=1.0)
    x_most = min(reach, 4 * mark) if mark else reach
    return Plot(
        title=title, x_unit="s", lines=lines, x_most=x_most, y_most=1.0, is_share=True, mark=mark
    ).svg()


_Which = Callable[[Latencies, Latencies, Promise | None], tuple[Latencies, float | None]]


def _first(
    ttft: Latencies, e2e: Latencies, promise: Promise | None
) -> tuple[Latencies, float | None]:
    return ttft, promise.ttft_s if promise else None


def _last(
    ttft: Latencies, e2e: Latencies, promise: Promise | None
) -> tuple[Latencies, float | None]:
    return e2e, promise.e2e_s if promise else None
