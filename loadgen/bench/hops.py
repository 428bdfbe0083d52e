"""Where the time goes between receipt and last byte, read from the spans of the services."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from loadgen.bench.sheet import Cell, rounded
from shared.telemetry.names import (
    SPAN_ACCEPT,
    SPAN_CLASSIFY,
    SPAN_DISPATCH,
    SPAN_ENGINE,
    SPAN_FEED,
    SPAN_FIRST_BYTE,
    SPAN_LAST_BYTE,
    SPAN_QUEUE,
    SPAN_TASK,
)

_ORDER: Final = (
    SPAN_ACCEPT,
    SPAN_CLASSIFY,
    SPAN_QUEUE,
    SPAN_DISPATCH,
    SPAN_FEED,
    SPAN_ENGINE,
    SPAN_FIRST_BYTE,
    SPAN_LAST_BYTE,
    SPAN_TASK,
)
_NANOSECONDS: Final = 1e9


@dataclass(frozen=True, slots=True)
class Hop:
    name: str
    start_at: float
    took_s: float


def read_hops(directory: Path) -> list[Hop]:
    """From all files in which services left their spans as lines of OTLP JSON."""
    files = sorted(path for path in directory.glob("*") if path.is_file())
    return [hop for file in files for line in _lines(file) for hop in _hops(line)]


def median_rows(
    hops: Sequence[Hop], between: Mapping[str, tuple[float, float]]
) -> list[Mapping[str, Cell]]:
    """Median ms per hop, one column for each named stretch of epoch seconds."""
    took_ms: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for hop in hops:
        for label, (start_at, end_at) in between.items():
            if start_at <= hop.start_at < end_at:
                took_ms[hop.name, label].append(hop.took_s * 1000)
    return [
        {"hop": name, **{label: _median(took_ms[name, label]) for label in between}}
        for name in _ORDER
        if any(took_ms[name, label] for label in between)
    ]


def _median(values: Sequence[float]) -> float | None:
    return rounded(median(values)) if values else None


def _lines(file: Path) -> Iterator[bytes]:
    for line in file.read_bytes().split(b"\n"):
        # A process that was stopped may leave half a line.
        if line.endswith(b"}"):
            yield line


def _hops(line: bytes) -> Iterator[Hop]:
    for resource in json.loads(line)["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                start = int(span["startTimeUnixNano"])
                took = int(span["endTimeUnixNano"]) - start
                yield Hop(span["name"], start / _NANOSECONDS, took / _NANOSECONDS)
