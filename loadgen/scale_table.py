"""Scaling rules side by side as Markdown: at equal GPU-hours, and at equal promises."""

from collections.abc import Iterator, Sequence
from typing import Final

from loadgen.scale import Frontier, ScaleRow

_BUDGETS: Final = (1.5, 2.0, 2.5, 3.0)
_PROMISES: Final = (0.85, 0.90, 0.93)


def markdown(rows: Sequence[ScaleRow]) -> str:
    return "\n".join(_parts(rows)) + "\n"


def _parts(rows: Sequence[ScaleRow]) -> Iterator[str]:
    for day, load_s in sorted({(row.day, row.load_s) for row in rows}):
        here = [row for row in rows if (row.day, row.load_s) == (day, load_s)]
        seeds = {row.seed for row in here}
        yield f"## {day}, a model loads in {load_s:g} s, {len(seeds)} seeds"
        yield ""
        yield (
            "Attainment at so many paid workers on average, loading and draining included; "
            "workers paid for so much attainment. – : not within what was tried."
        )
        yield ""
        head = [f"{budget:g} workers" for budget in _BUDGETS]
        head += [f"for {promise:.0%}" for promise in _PROMISES]
        yield f"| rule | {' | '.join(head)} | tried: workers → attainment |"
        yield "|" + "---|" * (len(head) + 2)
        yield from _rules(here)
        yield ""


def _rules(rows: Sequence[ScaleRow]) -> Iterator[str]:
    for rule in dict.fromkeys(row.rule for row in rows):
        curve = Frontier.of([row for row in rows if row.rule == rule])
        cells = [_told(curve.attainment_at(budget), "{:.3f}") for budget in _BUDGETS]
        cells += [_told(curve.workers_for(promise), "{:.2f}") for promise in _PROMISES]
        tried = ", ".join(f"{workers:.2f} → {kept:.3f}" for workers, kept in curve.points)
        yield f"| `{rule}` | {' | '.join(cells)} | {tried} |"


def _told(figure: float | None, form: str) -> str:
    return "–" if figure is None else form.format(figure)
