"""Where a collector listens, spans go to it over OTLP/HTTP."""

from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags, TraceState
from opentelemetry.trace import SpanKind as SdkKind
from opentelemetry.trace.status import Status, StatusCode

from shared.telemetry.spans import Attributes, FinishedSpan, SpanKind, nanoseconds

_SCOPE = InstrumentationScope("cato")
_KINDS = {
    SpanKind.INTERNAL: SdkKind.INTERNAL,
    SpanKind.SERVER: SdkKind.SERVER,
    SpanKind.PRODUCER: SdkKind.PRODUCER,
    SpanKind.CONSUMER: SdkKind.CONSUMER,
}


class Collector:
    """Address, headers, certificates: the OTEL_EXPORTER_OTLP_ variables of the SDK."""

    def __init__(self, resource: Attributes) -> None:
        self._resource = Resource.create(dict(resource))
        self._exporter = OTLPSpanExporter()

    def export(self, spans: Sequence[FinishedSpan]) -> None:
        result = self._exporter.export([as_sdk_span(span, self._resource) for span in spans])
        if result is not SpanExportResult.SUCCESS:
            raise ConnectionError("the collector did not take them")

    def close(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # the SDK forgot "-> None"


def as_sdk_span(span: FinishedSpan, resource: Resource) -> ReadableSpan:
    trace_id = span.context.trace_id
    failed = Status(StatusCode.ERROR, span.error) if span.error else Status()
    return ReadableSpan(
        span.name,
        context=_context(trace_id, span.context.span_id, span.tracestate),
        parent=_context(trace_id, span.parent_id) if span.parent_id else None,
        resource=resource,
        attributes=span.attributes,
        kind=_KINDS[span.kind],
        status=failed,
        start_time=nanoseconds(span.start_at),
        end_time=nanoseconds(span.end_at),
        instrumentation_scope=_SCOPE,
    )


def _context(trace_id: str, span_id: str, tracestate: str | None = None) -> SpanContext:
    state = TraceState.from_header([tracestate]) if tracestate else TraceState()
    return SpanContext(
        int(trace_id, 16),
        int(span_id, 16),
        is_remote=False,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
        trace_state=state,
    )
