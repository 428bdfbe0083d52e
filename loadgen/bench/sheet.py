"""A measurement is a sheet of rows; units are in the names of the columns."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

Cell = str | int | float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """All rows have the same columns; `notes` say what the figures mean and what they do not."""

    title: str
    rows: Sequence[Mapping[str, Cell]]
    notes: Sequence[str] = ()


def show(sheets: Sequence[Sheet], console: Console) -> None:
    for sheet in sheets:
        table = Table(title=sheet.title, title_justify="left", box=None, pad_edge=False)
        for column in sheet.rows[0] if sheet.rows else ():
            table.add_column(column.replace("_", " "), justify="right", overflow="fold")
        for row in sheet.rows:
            table.add_row(*map(_told, row.values()))
        console.print(table)
        for note in sheet.notes:
            console.print(note, style="dim", highlight=False)
        console.print()


def encode(bench: str, sheets: Sequence[Sheet]) -> str:
    document = {"schema": 1, "bench": bench, "sheets": [asdict(sheet) for sheet in sheets]}
    return json.dumps(document, indent=1)


def rounded(value: float | None, digits: int = 3) -> float | None:
    return None if value is None else round(value, digits)


def _told(cell: Cell) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, float):
        return f"{cell:,.2f}" if abs(cell) < 1000 else f"{cell:,.0f}"  # noqa: PLR2004
    return f"{cell:,}" if isinstance(cell, int) else cell
