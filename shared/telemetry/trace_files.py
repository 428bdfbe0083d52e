"""Without a collector traces lie in files, one a process, in the lines of OTLP's file exporter.

Each line is an `ExportTraceServiceRequest` as JSON, which collectors (`otlpjsonfile`) read too.
"""

from collections.abc import Sequence
from io import FileIO
from json.encoder import encode_basestring_ascii as _quoted
from math import inf, isfinite
from pathlib import Path
from typing import Final

from shared.telemetry.spans import Attributes, FinishedSpan, nanoseconds

# The present file and the one before it stay below this together.
LARGEST_BYTES: Final = 256 * 1024 * 1024

# JSON has no such numbers; protobuf writes them so.
_INFINITIES: Final = {inf: "Infinity", -inf: "-Infinity"}


class TraceFile:
    """Two files at most: when one is full it replaces the one before it."""

    def __init__(self, path: Path, resource: Attributes, *, cap_bytes: int = LARGEST_BYTES) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._full_bytes = cap_bytes // 2
        self._head = _head(resource)
        self._file = self._open()

    def export(self, spans: Sequence[FinishedSpan]) -> None:
        line = self._head + ",".join(map(encode_span, spans)) + "]}]}]}\n"
        self._file.write(line.encode("ascii"))
        if self._file.tell() >= self._full_bytes:
            self._file.close()
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))
            self._file = self._open()

    def close(self) -> None:
        self._file.close()

    def _open(self) -> FileIO:
        return self._path.open("ab", buffering=0)


def encode_span(span: FinishedSpan) -> str:
    context = span.context
    return (
        f'{{"traceId":"{context.trace_id}","spanId":"{context.span_id}",'
        f'"parentSpanId":"{span.parent_id or ""}","name":"{span.name}","kind":{int(span.kind)},'
        f'"startTimeUnixNano":"{nanoseconds(span.start_at)}",'
        f'"endTimeUnixNano":"{nanoseconds(span.end_at)}",'
        f'"attributes":{_attributes(span.attributes)}{_rare(span)}}}'
    )


def _rare(span: FinishedSpan) -> str:
    state = f',"traceState":{_quoted(span.tracestate)}' if span.tracestate else ""
    if span.error is None:
        return state
    return f'{state},"status":{{"code":2,"message":{_quoted(span.error)}}}'


def _head(resource: Attributes) -> str:
    return (
        f'{{"resourceSpans":[{{"resource":{{"attributes":{_attributes(resource)}}},'
        '"scopeSpans":[{"scope":{"name":"cato"},"spans":['
    )


def _attributes(attributes: Attributes) -> str:
    pairs = [f'{{"key":"{key}","value":{_value(value)}}}' for key, value in attributes.items()]
    return f"[{','.join(pairs)}]"


def _value(value: str | int | float | bool) -> str:
    # Values of an enum are str as well; bool is int as well.
    if isinstance(value, str):
        return f'{{"stringValue":{_quoted(value)}}}'
    if isinstance(value, bool):
        return '{"boolValue":true}' if value else '{"boolValue":false}'
    if isinstance(value, int):
        return f'{{"intValue":"{value}"}}'
    if isfinite(value):
        return f'{{"doubleValue":{value!r}}}'
    return f'{{"doubleValue":"{_INFINITIES.get(value, "NaN")}"}}'
