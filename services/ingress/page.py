"""A page for people: how much waits, which promises are kept, who works."""

from collections.abc import Iterable
from html import escape
from typing import Final

from services.ingress.admission import Backlog
from services.ingress.backlogs import Backlogs
from services.ingress.replies import Desk
from shared.telemetry.attainment import RecentPromises

_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:46rem;padding:0 1rem;"
    "color:#1c2430;background:#fbfbfa}h1{font-size:1.3rem}h2{font-size:1rem;margin-top:2rem}"
    "table{border-collapse:collapse;width:100%}td,th{padding:.3rem .6rem;text-align:right;"
    "border-bottom:1px solid #dfe3e8}td:first-child,th:first-child{text-align:left}"
)


def page(backlogs: Backlogs, desk: Desk, *, now: float, monotonic: float) -> str:
    """It loads itself anew every two seconds."""
    models = "".join(
        f"<h2>{escape(model)}</h2>{_pool(backlogs.of(model), monotonic)}"
        f"{_promises(desk.promises[model], now) if model in desk.promises else ''}"
        for model in sorted(backlogs.models())
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>CATO</title>'
        f'<meta http-equiv="refresh" content="2"><style>{_STYLE}</style></head><body>'
        f"<h1>CATO</h1><p>{len(desk.conversations)} clients wait for an answer here.</p>"
        f"{models or '<p>No scheduler has spoken yet.</p>'}"
        "</body></html>"
    )


def _pool(backlog: Backlog | None, monotonic: float) -> str:
    if backlog is None:
        return "<p>No scheduler speaks for it now.</p>"
    report = backlog.report
    rows = (
        (name.value, waiting.queued, f"{waiting.wait_s:.2f} s", f"{waiting.work_s:.2f} s")
        for name, waiting in report.classes.items()
    )
    full = ", queue full" if report.is_full else ""
    return (
        f"<p>{report.workers} workers with {report.slots} slots{full}; "
        f"told {backlog.age_s(monotonic):.1f} s ago.</p>"
        + _table(("class", "queued", "predicted wait", "work"), rows)
    )


def _promises(promises: RecentPromises, now: float) -> str:
    rates = promises.rates(now)
    rows = (
        (kind, f"{share:.1%}", f"{rates[kind]:.2f}/s")
        for kind, share in promises.shares(now).items()
    )
    return "<p>Promises kept in the last minute:</p>" + _table(("kind", "kept", "on time"), rows)


def _table(heads: Iterable[str], rows: Iterable[tuple[object, ...]]) -> str:
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(str(each))}</td>' for each in row)}</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"
