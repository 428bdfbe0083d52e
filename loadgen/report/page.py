"""One page to show a colleague: the result as a sentence, then what it rests on."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Final

from loadgen.report.document import RunReport
from loadgen.report.figures import Curve, KindFigures, Latencies
from loadgen.report.plots import Line, Plot
from loadgen.report.statistics import Percentiles
from loadgen.report.table import WHOLE, kinds_of, of_kind, promised, seconds, share
from shared.domain.task import Promise

_PAGE: Final = Path(__file__).with_name("page.html")
_STYLES: Final = 6
_PROMISES_SHOWN: Final = 2.5
_JUST_BEYOND: Final = 1.25


def page(runs: Sequence[RunReport]) -> str:
    """Needs no other file and no network."""
    return Template(_PAGE.read_text(encoding="utf-8")).substitute(
        title=escape(" and ".join(run.name for run in runs)),
        headline="".join(f"<p>{escape(sentence)}</p>" for sentence in _headlines(runs)),
        warnings="".join(_warnings(runs)),
        legend=_legend(runs),
        counts="".join(_rows(runs, _counts)),
        times="".join(_rows(runs, _times)),
        whole="".join(_whole_rows(runs)),
        whole_head="".join(f"<th>{escape(run.name)}</th>" for run in runs),
        over_time="".join(plot.svg() for plot in _over_time(runs)),
        distributions="".join(_distributions(runs)),
        settings="".join(_settings(runs)),
    )


def _headlines(runs: Sequence[RunReport]) -> Iterator[str]:
    if len(runs) == 1:
        yield runs[0].headline()
        return
    judged = [run for run in runs if run.figures.total.attainment is not None]
    ranked = sorted(judged, key=lambda run: -(run.figures.total.attainment or 0))
    for run in ranked:
        yield run.headline()


def _warnings(runs: Sequence[RunReport]) -> Iterator[str]:
    for run in runs:
        named = f"{run.name}: " if len(runs) > 1 else ""
        for warning in run.warnings():
            yield f'<p class="warning">{escape(named + warning)}</p>'


def _legend(runs: Sequence[RunReport]) -> str:
    if len(runs) == 1:
        return ""
    keys = (
        f'<span class="key key-{i % _STYLES}">{escape(run.name)}</span>'
        for i, run in enumerate(runs)
    )
    return f'<p class="legend">{"".join(keys)}</p>'


def _rows(runs: Sequence[RunReport], cells: Callable[[KindFigures], str]) -> Iterator[str]:
    for kind in kinds_of(runs):
        for run in runs:
            if (row := of_kind(run, kind)) is not None:
                under = run.name if len(runs) > 1 else promised(row)
                head = f"<th>{escape(kind)} <small>{escape(under)}</small></th>"
                yield f"<tr>{head}{cells(row)}</tr>"


def _counts(row: KindFigures) -> str:
    left = row.cancelled + row.superseded
    counts = (row.counted, row.on_time, row.late, row.shed + row.expired, left, row.errors)
    numbers = (*map(str, counts), f"{row.goodput_per_s:.2f}")
    bar = f'<td class="bar" style="--share:{row.attainment or 0:.4f}">{share(row.attainment)}</td>'
    return bar + _cells(numbers)


def _times(row: KindFigures) -> str:
    return _cells((*_percentiles(row.ttft_s), *_percentiles(row.e2e_s)))


def _cells(texts: Iterable[str]) -> str:
    return "".join(f"<td>{text}</td>" for text in texts)


def _percentiles(latencies: Latencies) -> tuple[str, str]:
    return _p50_p95_p99(latencies.kept), _p50_p95_p99(latencies.answered)


def _p50_p95_p99(values: Percentiles) -> str:
    return " · ".join(map(seconds, (values.p50, values.p95, values.p99)))


def _whole_rows(runs: Sequence[RunReport]) -> Iterator[str]:
    for name, cell in WHOLE:
        cells = "".join(f"<td>{escape(cell(run))}</td>" for run in runs)
        yield f"<tr><th>{escape(name)}</th>{cells}</tr>"


def _over_time(runs: Sequence[RunReport]) -> Iterator[Plot]:
    longest_s = max(run.duration_s for run in runs)
    moments = [run.figures.moments for run in runs]
    busiest = max((m.requests_per_s for seen in moments for m in seen), default=0.0)
    attained = [_line(i, [(m.at_s, m.attainment) for m in seen]) for i, seen in enumerate(moments)]
    asked = [_line(i, [(m.at_s, m.requests_per_s) for m in seen]) for i, seen in enumerate(moments)]
    yield Plot(
        title="Share of requests kept, by when they were sent",
        x_unit="s",
        lines=attained,
        x_most=longest_s,
        y_most=1.0,
        is_share=True,
    )
    yield Plot(
        title="Requests per second",
        x_unit="s",
        lines=asked,
        x_most=longest_s,
        y_most=max(busiest * 1.1, 1.0),
    )


def _distributions(runs: Sequence[RunReport]) -> Iterator[str]:
    for kind in kinds_of(runs)[:-1]:
        rows = [(i, row) for i, run in enumerate(runs) if (row := of_kind(run, kind)) is not None]
        promise = rows[0][1].promise or Promise()
        first = _curves(
            f"{kind}: first token",
            [(i, row.ttft_s.curve) for i, row in rows],
            promise.ttft_s,
        )
        last = _curves(
            f"{kind}: last token",
            [(i, row.e2e_s.curve) for i, row in rows],
            promise.e2e_s,
        )
        yield first.svg() + last.svg()


def _curves(title: str, curves: Sequence[tuple[int, Curve]], promised_s: float | None) -> Plot:
    most_s = _most_s(curves, promised_s)
    return Plot(
        title=title,
        x_unit="s",
        lines=[
            Line(points=_to_the_edge(curve, most_s), style=index % _STYLES, is_stepped=True)
            for index, curve in curves
        ],
        x_most=most_s,
        y_most=1.0,
        is_share=True,
        mark=promised_s,
    )


def _most_s(curves: Sequence[tuple[int, Curve]], promised_s: float | None) -> float:
    slowest_s = max((curve[-1][0] for _, curve in curves if curve), default=1.0)
    if promised_s is None:
        return slowest_s
    # What comes long after the promise is late, however late.
    return max(promised_s * _JUST_BEYOND, min(slowest_s, promised_s * _PROMISES_SHOWN))


def _to_the_edge(curve: Curve, most_s: float) -> Curve:
    """A share once reached stays reached, and a share not reached shows as a flat end below 1."""
    shown = tuple(point for point in curve if point[0] <= most_s)
    return (0.0, 0.0), *shown, (most_s, shown[-1][1] if shown else 0.0)


def _line(index: int, points: Sequence[tuple[float, float | None]]) -> Line:
    return Line(points=points, style=index % _STYLES)


def _settings(runs: Sequence[RunReport]) -> Iterator[str]:
    for run in runs:
        told = " · ".join(f"{name} {value}" for name, value in run.setting.items())
        yield f"<p><strong>{escape(run.name)}</strong> ({run.source}): {escape(told)}</p>"
