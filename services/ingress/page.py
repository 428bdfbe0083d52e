"""A page for people: how much waits, which promises are kept, who works."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Final

from services.ingress.admission import Backlog
from services.ingress.backlogs import Backlogs
from services.ingress.replies import Desk

_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:46rem;padding:0 1rem;"
    "color:#1c2430;background:#fbfbfa}h1{font-size:1.3rem}h2{font-size:1rem;margin-top:2rem}"
    "table{border-collapse:collapse;width:100%}td,th{padding:.3rem .6rem;text-align:right;"
    "border-bottom:1px solid #dfe3e8}td:first-child,th:first-child{text-align:left}"
)


def page(backlogs: Backlogs, desk: Desk, *, now: float, monotonic: float) -> str:
    """It loads itself anew every two seconds."""
    models = "".join(
        _model(model, backlog, backlog.age_s(monotonic))
        for model, backlog in sorted(backlogs.by_model.items())
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>CATO</title>'
        f'<meta http-equiv="refresh" content="2"><style>{_STYLE}</style></head><body>'
        f"<h1>CATO</h1><p>{len(desk.conversations)} clients wait for an answer here.</p>"
        f"{models or '<p>No scheduler has spoken yet.</p>'}"
        f"<h2>Promises kept in the last minute</h2>{_promises(desk, now)}"
        "</body></html>"
    )


def _model(model: str, backlog: Backlog, age_s: float) -> str:
    report = backlog.report
    rows = (
        (name.value, waiting.queued, f"{waiting.wait_s:.2f} s", f"{waiting.work_s:.2f} s")
        for name, waiting in report.classes.items()
    )
    return (
        f"<h2>{escape(model)}</h2><p>{report.workers} workers with {report.slots} slots"
        f"{', queue full' if report.is_full else ''}; told {age_s:.1f} s ago.</p>"
        + _table(("class", "queued", "predicted wait", "work"), rows)
    )


def _promises(desk: Desk, now: float) -> str:
    shares: Mapping[str, float] = desk.promises.shares(now)
    rates = desk.promises.rates(now)
    rows = ((kind, f"{share:.1%}", f"{rates[kind]:.2f}/s") for kind, share in shares.items())
    return _table(("kind", "kept", "on time"), rows)


def _table(heads: Iterable[str], rows: Iterable[tuple[object, ...]]) -> str:
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(str(each))}</td>' for each in row)}</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"
