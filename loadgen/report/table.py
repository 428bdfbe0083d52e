"""Runs in a terminal, side by side, in at most a hundred columns."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from loadgen.report.document import RunReport
from loadgen.report.figures import KindFigures, Latencies
from loadgen.report.statistics import Percentiles

COLUMNS: Final = 100
_NEVER: Final = "∞"
_NOTHING: Final = "–"

_Cell = Callable[[KindFigures], str]


def terminal() -> Console:
    """Never wider than what people paste into a message; in a file always as wide."""
    seen = Console()
    return Console(width=min(COLUMNS, seen.width) if seen.is_terminal else COLUMNS)


def show(runs: Sequence[RunReport], console: Console) -> None:
    console.print(tables(runs))


def tables(runs: Sequence[RunReport]) -> RenderableType:
    return Group(*_parts(runs))


def _parts(runs: Sequence[RunReport]) -> Iterator[RenderableType]:
    yield _table("What became of the requests", runs, _COUNTS)
    yield _table("Time to the first token, in seconds", runs, _first_or_last(_first))
    yield _table("Time to the last token, in seconds", runs, _first_or_last(_last))
    yield _whole(runs)
    for run in runs:
        yield Text(run.headline(), style="bold")
        for warning in run.warnings():
            yield Text(warning, style="yellow")
    yield Text(_LEGEND, style="dim")


_LEGEND: Final = (
    "kept: over all requests that could have been kept, ∞ for those that were not. "
    "answered: answered ones only, however late."
)


def _table(title: str, runs: Sequence[RunReport], columns: Sequence[tuple[str, _Cell]]) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        box=None,
        pad_edge=False,
        # Side by side the columns only just fit.
        collapse_padding=len(runs) > 1,
    )
    table.add_column("kind", no_wrap=True)
    if len(runs) > 1:
        table.add_column("run", overflow="ellipsis", max_width=16, no_wrap=True)
    for name, _ in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for kind in kinds_of(runs):
        for run in runs:
            figures = of_kind(run, kind)
            named = [kind] if len(runs) == 1 else [kind, run.name]
            cells = [cell(figures) if figures else _NOTHING for _, cell in columns]
            table.add_row(*named, *cells)
    return table


def kinds_of(runs: Sequence[RunReport]) -> tuple[str, ...]:
    """Every kind that any of the runs met, the total last."""
    named = {kind.kind: None for run in runs for kind in run.figures.kinds}
    return (*named, *{run.figures.total.kind: None for run in runs})


def of_kind(run: RunReport, kind: str) -> KindFigures | None:
    rows = (*run.figures.kinds, run.figures.total)
    return next((row for row in rows if row.kind == kind), None)


def share(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.1%}"


def seconds(value: float | None) -> str:
    """Milliseconds below a second, as people say it."""
    if value is None:
        return _NEVER
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def promised(figures: KindFigures) -> str:
    promise = figures.promise
    if promise is None:
        return _NOTHING
    limits = (("first", promise.ttft_s), ("pace", promise.tpot_s), ("last", promise.e2e_s))
    return ", ".join(f"{name} {seconds(s)}" for name, s in limits if s is not None) or "none"


def _spread(percentiles: Percentiles) -> str:
    told = (percentiles.p50, percentiles.p95, percentiles.p99)
    return " / ".join(_short(value) for value in told)


def _short(value: float | None) -> str:
    if value is None:
        return _NEVER
    return f"{value:.3f}" if value < 1 else f"{value:.2f}"


_COUNTS: Final[Sequence[tuple[str, _Cell]]] = (
    ("sent", lambda row: f"{row.requests}"),
    ("counted", lambda row: f"{row.counted}"),
    ("on time", lambda row: f"{row.on_time}"),
    ("attained", lambda row: share(row.attainment)),
    ("kept/s", lambda row: f"{row.goodput_per_s:.2f}"),
    ("late", lambda row: f"{row.late}"),
    ("shed", lambda row: f"{row.shed}"),
    ("expired", lambda row: f"{row.expired}"),
    ("left", lambda row: f"{row.cancelled + row.superseded}"),
    ("errors", lambda row: f"{row.errors}"),
)


def _first(row: KindFigures) -> Latencies:
    return row.ttft_s


def _last(row: KindFigures) -> Latencies:
    return row.e2e_s


def _first_or_last(of: Callable[[KindFigures], Latencies]) -> Sequence[tuple[str, _Cell]]:
    return (
        ("promised", promised),
        ("kept p50/p95/p99", lambda row: _spread(of(row).kept)),
        ("answered p50/p95/p99", lambda row: _spread(of(row).answered)),
    )


def _whole(runs: Sequence[RunReport]) -> Table:
    table = Table(title="The run as a whole", title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    for run in runs:
        table.add_column(run.name, justify="right", overflow="fold")
    for name, cell in WHOLE:
        cells = [cell(run) for run in runs]
        if any(told != _NOTHING for told in cells):
            table.add_row(name, *cells)
    return table


def _queued(run: RunReport) -> str:
    queued = run.figures.queued_s
    if queued.p50 is None:
        return _NOTHING
    return f"{seconds(queued.p50)} / {seconds(queued.p95)}"


def _limits(run: RunReport) -> str:
    rate = run.figures.total.within_limits_per_s
    return _NOTHING if rate is None else f"{rate:.2f}/s"


def _fairness(run: RunReport) -> str:
    fairness = run.figures.fairness
    if run.figures.tenants < 2 or fairness is None:  # noqa: PLR2004 - fairness is between two
        return _NOTHING
    return f"{fairness:.3f} over {run.figures.tenants} tenants"


def _sender(run: RunReport) -> str:
    if run.sender is None:
        return _NOTHING
    late_s = run.sender.late_p99_s
    return f"p99 {seconds(late_s)} late, {run.sender.cpu_ms_per_request:.2f} ms CPU a request"


WHOLE: Final[Sequence[tuple[str, Callable[[RunReport], str]]]] = (
    ("offered", lambda run: f"{run.offered_per_s:.2f}/s for {run.duration_s:.0f} s"),
    ("goodput", lambda run: f"{run.figures.total.goodput_per_s:.2f}/s"),
    ("within --goodput limits", _limits),
    ("attained, mean over kinds", lambda run: share(run.figures.mean_over_kinds)),
    ("fairness (Jain)", _fairness),
    ("queued p50 / p95", _queued),
    ("misclassified", lambda run: share(run.figures.misclassified)),
    ("output tokens", lambda run: f"{run.figures.total.output_tokens:,}"),
    ("sender", _sender),
)
