"""A trace tells when real requests came and how long they were, never what they said.

Two formats are read: the CSV of AzurePublicDataset (`TIMESTAMP,ContextTokens,GeneratedTokens`)
and JSON lines with `timestamp` in milliseconds, `input_length` and `output_length` in tokens.
"""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from loadgen.workloads.errors import ArrivalsImpossible, TraceUnreadable

_COLUMNS: Final = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
_KEYS: Final = ("timestamp", "input_length", "output_length")

_LONGEST_NUMBER: Final = 12
_ENDLESS_MS: Final = 1e15


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceRow:
    at_s: float
    prompt_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of a trace, in seconds of the trace after its first request."""

    start_s: float = 0.0
    duration_s: float = math.inf

    def __str__(self) -> str:
        return f"in the {self.duration_s:g} s from {self.start_s:g} s on"

    def holds(self, row: TraceRow) -> bool:
        return self.start_s <= row.at_s < self.start_s + self.duration_s


WHOLE: Final = Window()


def read_trace(path: Path, *, window: Window = WHOLE, rate_scale: float = 1.0) -> list[TraceRow]:
    """The window's rows, counted from its start; a scale of 2 plays them twice as fast."""
    if not (math.isfinite(rate_scale) and rate_scale > 0):
        raise ArrivalsImpossible("rate scale", "a finite number above 0", rate_scale)
    rows = _from_first(path, _rows(path))
    inside = [row for row in rows if window.holds(row)]
    if not inside:
        found = f"a trace of {rows[-1].at_s:.1f} s"
        raise TraceUnreadable(path, None, f"requests {window}", found)
    return [replace(row, at_s=(row.at_s - window.start_s) / rate_scale) for row in inside]


def _from_first(path: Path, rows: Iterable[TraceRow]) -> list[TraceRow]:
    ordered = sorted(rows, key=lambda row: row.at_s)
    if not ordered:
        raise TraceUnreadable(path, None, "at least one request", "none")
    first_s = ordered[0].at_s
    return [replace(row, at_s=row.at_s - first_s) for row in ordered]


def _rows(path: Path) -> Iterator[TraceRow]:
    lines = _lines(path)
    if lines and lines[0].lstrip().startswith("{"):
        return _json_rows(path, lines)
    return _csv_rows(path, lines)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise TraceUnreadable(path, None, "a readable file", error.strerror) from error
    except UnicodeDecodeError as error:
        raise TraceUnreadable(path, None, "text in UTF-8", error.reason) from error


def _csv_rows(path: Path, lines: list[str]) -> Iterator[TraceRow]:
    header = tuple(name.strip() for name in lines[0].split(","))
    if header != _COLUMNS:
        expected = f"the header {','.join(_COLUMNS)} or one JSON object per line"
        raise TraceUnreadable(path, 1, expected, lines[0][:80])
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        fields = line.split(",")
        if len(fields) != len(_COLUMNS):
            raise TraceUnreadable(path, number, f"{len(_COLUMNS)} fields", line[:80])
        yield TraceRow(
            at_s=_instant(path, number, fields[0]),
            prompt_tokens=_tokens(path, number, "ContextTokens", fields[1]),
            output_tokens=_tokens(path, number, "GeneratedTokens", fields[2]),
        )


def _json_rows(path: Path, lines: list[str]) -> Iterator[TraceRow]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        timestamp, prompt, output = _json_fields(path, number, line)
        if isinstance(timestamp, bool) or not isinstance(timestamp, int | float):
            raise TraceUnreadable(path, number, "timestamp as a number of ms", timestamp)
        if not abs(timestamp) < _ENDLESS_MS:
            raise TraceUnreadable(path, number, "a finite timestamp", timestamp)
        yield TraceRow(
            at_s=timestamp / 1000,
            prompt_tokens=_tokens(path, number, "input_length", prompt),
            output_tokens=_tokens(path, number, "output_length", output),
        )


def _json_fields(path: Path, number: int, line: str) -> tuple[object, object, object]:
    expected = f"a JSON object with {', '.join(_KEYS)}"
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TraceUnreadable(path, number, expected, line[:80]) from error
    if not isinstance(row, dict) or not row.keys() >= set(_KEYS):
        raise TraceUnreadable(path, number, expected, line[:80])
    return row[_KEYS[0]], row[_KEYS[1]], row[_KEYS[2]]


def _instant(path: Path, number: int, text: str) -> float:
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError as error:
        expected = "TIMESTAMP like 2023-11-16 18:17:03.9799600"
        raise TraceUnreadable(path, number, expected, text) from error
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()


def _tokens(path: Path, number: int, name: str, found: object) -> int:
    expected = f"{name} as a whole number of tokens"
    if isinstance(found, str) and len(found) < _LONGEST_NUMBER and found.strip().isdecimal():
        found = int(found)
    if isinstance(found, bool) or not isinstance(found, int) or found < 0:
        raise TraceUnreadable(path, number, expected, str(found)[:80])
    # A request of no tokens, or for none, cannot be sent.
    return max(1, found)
