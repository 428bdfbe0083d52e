"""A span is one hop of one task, over and done with: a name, two instants and some facts.

Services know when a hop began and ended, often from instants that another process wrote down. So a
span is recorded as a whole, afterwards: one tuple in a line, encoded by a thread in small portions
that never hold the event loop up.
"""

import logging
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from itertools import islice
from typing import Final, NamedTuple, Protocol

from shared.telemetry.instruments import dropped_spans
from shared.telemetry.trace_context import TraceContext

log = logging.getLogger(__name__)

Attributes = Mapping[str, str | int | float | bool]

# Beyond this many an exporter is stuck; what comes then is dropped and counted.
_LONGEST_LINE: Final = 20_000
_PORTION: Final = 32
_PERIOD_S: Final = 0.5
_BREATH_S: Final = 0.001


class SpanKind(IntEnum):
    """The numbers of OTLP."""

    INTERNAL = 1
    SERVER = 2
    PRODUCER = 4
    CONSUMER = 5


class FinishedSpan(NamedTuple):
    name: str
    context: TraceContext
    parent_id: str | None
    start_at: float
    end_at: float
    attributes: Attributes
    error: str | None = None
    kind: SpanKind = SpanKind.INTERNAL
    tracestate: str | None = None


def nanoseconds(at: float) -> int:
    """Through microseconds: more than that a float of today's epoch does not hold."""
    return round(at * 1e6) * 1000


class SpanExporter(Protocol):
    def export(self, spans: Sequence[FinishedSpan]) -> None:
        """May block; raises OSError when these spans are lost."""
        ...

    def close(self) -> None: ...


class SpanLine:
    """Spans wait here for the thread that exports them."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._waiting: deque[FinishedSpan] = deque()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def take(self, span: FinishedSpan) -> None:
        if len(self._waiting) >= _LONGEST_LINE:
            dropped_spans.add(1)
            return
        self._waiting.append(span)

    def close(self, within_s: float = 5.0) -> None:
        """Export what is left; spans taken later are lost."""
        self._closing.set()
        self._thread.join(within_s)
        self._exporter.close()

    def _run(self) -> None:
        while not self._closing.wait(_PERIOD_S):
            self._export_all()
        self._export_all()

    def _export_all(self) -> None:
        while portion := list(islice(self._drained(), _PORTION)):
            self._export(portion)
            # Let the event loop have the interpreter between two portions.
            self._closing.wait(_BREATH_S)

    def _drained(self) -> Iterator[FinishedSpan]:
        while self._waiting:
            yield self._waiting.popleft()

    def _export(self, portion: Sequence[FinishedSpan]) -> None:
        try:
            self._exporter.export(portion)
        except OSError as error:
            dropped_spans.add(len(portion))
            log.warning("spans lost", extra={"spans": len(portion), "error": str(error)})
