"""One trace tells a task's whole way: a root from receipt to last byte, and its hops below it.

The root's `traceparent` travels with the task; every service records its own hops as children of
it. Where nobody keeps spans, or this trace was not chosen, a hop costs one comparison.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from shared.telemetry.spans import Attributes, FinishedSpan, SpanKind
from shared.telemetry.trace_context import TraceContext, is_kept, new_span_id, new_trace_id

_NO_ATTRIBUTES: Final[Attributes] = {}


class Recorder(Protocol):
    def take(self, span: FinishedSpan) -> None: ...


@dataclass(slots=True)
class _Keeping:
    """Who keeps this process' spans, and which share of the traces."""

    recorders: tuple[Recorder, ...] = ()
    ratio: float = 1.0


_keeping = _Keeping()


@dataclass(slots=True)
class Memory:
    """Keeps spans where a test can read them."""

    spans: list[FinishedSpan] = field(default_factory=list)

    def take(self, span: FinishedSpan) -> None:
        self.spans.append(span)


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """The span of a whole task, while it lasts."""

    name: str
    context: TraceContext
    start_at: float
    parent_id: str | None = None
    tracestate: str | None = None

    @property
    def traceparent(self) -> str:
        return str(self.context)

    @property
    def trace_id(self) -> str:
        return self.context.trace_id

    def end(
        self,
        end_at: float,
        *,
        attributes: Attributes = _NO_ATTRIBUTES,
        error: str | None = None,
    ) -> None:
        if not self.context.is_sampled:
            return
        _keep(
            FinishedSpan(
                self.name,
                self.context,
                self.parent_id,
                self.start_at,
                end_at,
                attributes,
                error,
                SpanKind.SERVER,
                self.tracestate,
            )
        )


def begin_root(
    name: str,
    *,
    incoming_traceparent: str | None = None,
    incoming_tracestate: str | None = None,
    start_at: float,
) -> Root:
    """Join the client's trace, or begin one; a malformed `traceparent` begins one."""
    joined = TraceContext.parse(incoming_traceparent)
    trace_id = joined.trace_id if joined else new_trace_id()
    is_wanted = joined is None or joined.is_sampled
    is_sampled = bool(_keeping.recorders) and is_wanted and is_kept(trace_id, _keeping.ratio)
    return Root(
        name=name,
        context=TraceContext(trace_id, new_span_id(), is_sampled),
        start_at=start_at,
        parent_id=joined.span_id if joined else None,
        tracestate=incoming_tracestate if joined else None,
    )


def record_span(
    name: str,
    *,
    parent: str | None,
    start_at: float,
    end_at: float,
    attributes: Attributes = _NO_ATTRIBUTES,
    error: str | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
) -> None:
    """Keep one hop that is over; `parent` is the `traceparent` that came with the task.

    Free where nobody keeps spans; without a parent, or with an unsampled one, it keeps nothing.
    """
    if not _keeping.recorders or parent is None or parent.endswith("-00"):
        return
    context = TraceContext.parse(parent)
    if context is None:
        return
    own = TraceContext(context.trace_id, new_span_id(), True)
    _keep(FinishedSpan(name, own, context.span_id, start_at, end_at, attributes, error, kind))


def trace_id_of(traceparent: str | None) -> str | None:
    """The id to write beside an error, so that its trace can be found."""
    context = TraceContext.parse(traceparent)
    return context.trace_id if context else None


@contextmanager
def keep_spans(*recorders: Recorder, ratio: float = 1.0) -> Iterator[None]:
    """Hand every span recorded in this process to these, and nothing to those before."""
    before = (_keeping.recorders, _keeping.ratio)
    _keeping.recorders, _keeping.ratio = recorders, ratio
    try:
        yield
    finally:
        _keeping.recorders, _keeping.ratio = before


def _keep(span: FinishedSpan) -> None:
    for recorder in _keeping.recorders:
        recorder.take(span)
