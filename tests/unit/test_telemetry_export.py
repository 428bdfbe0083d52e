"""What was recorded arrives in files and collectors as OpenTelemetry says it should look."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from opentelemetry.sdk.resources import Resource
from opentelemetry.trace.status import StatusCode

from shared.domain.outcome import Outcome
from shared.telemetry import names
from shared.telemetry.collector import as_sdk_span
from shared.telemetry.service import Tracing, use_service
from shared.telemetry.spans import FinishedSpan, SpanKind, SpanLine
from shared.telemetry.trace_context import TraceContext, new_span_id, new_trace_id
from shared.telemetry.trace_files import TraceFile, encode_span
from shared.telemetry.tracing import begin_root, record_span


def a_span(name: str = names.SPAN_QUEUE, **facts: str | int | float | bool) -> FinishedSpan:
    context = TraceContext(new_trace_id(), new_span_id(), True)
    return FinishedSpan(name, context, new_span_id(), 1700000000.5, 1700000000.75, facts)


@dataclass(slots=True)
class Broken:
    """A disk that is full."""

    tried: list[int] = field(default_factory=list)

    def export(self, spans: Sequence[FinishedSpan]) -> None:
        self.tried.append(len(spans))
        raise OSError("no space left on device")

    def close(self) -> None:
        self.tried.append(-1)


def test_a_span_in_a_file_reads_as_otlp() -> None:
    span = a_span(text='say "hi"\n\ud800ü', count=3, share=0.25, kept=True, outcome=Outcome.LATE)

    read = json.loads(encode_span(span._replace(error="too late", kind=SpanKind.SERVER)))

    assert read["startTimeUnixNano"] == "1700000000500000000"
    assert read["endTimeUnixNano"] == "1700000000750000000"
    assert read["status"] == {"code": 2, "message": "too late"}
    assert [pair["value"] for pair in read["attributes"]] == [
        {"stringValue": 'say "hi"\n\ud800ü'},
        {"intValue": "3"},
        {"doubleValue": 0.25},
        {"boolValue": True},
        {"stringValue": "late"},
    ]


def test_numbers_that_json_lacks_are_written_as_protobuf_does() -> None:
    read = json.loads(encode_span(a_span(most=float("inf"), none=float("nan"))))

    assert [pair["value"] for pair in read["attributes"]] == [
        {"doubleValue": "Infinity"},
        {"doubleValue": "NaN"},
    ]


def test_a_full_file_makes_room_and_only_the_one_before_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "worker-1.jsonl"
    file = TraceFile(path, {"service.name": "worker"}, cap_bytes=8_000)

    for number in range(100):
        file.export([a_span(number=number)])
    file.close()

    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["worker-1.jsonl", "worker-1.jsonl.1"]
    assert sum(file.stat().st_size for file in files) <= 9_000
    assert '"intValue":"99"' in path.read_text() + files[1].read_text()


def test_all_spans_lie_in_the_file_when_the_service_has_ended(tmp_path: Path) -> None:
    with use_service("ingress", Tracing(directory=tmp_path / "traces")):
        root = begin_root(names.SPAN_TASK, start_at=1.0)
        for _ in range(99):
            record_span(names.SPAN_QUEUE, parent=root.traceparent, start_at=1.0, end_at=2.0)
        root.end(3.0)

    (file,) = (tmp_path / "traces").iterdir()
    lines = [json.loads(line)["resourceSpans"][0] for line in file.read_text().splitlines()]
    spans = [span for line in lines for span in line["scopeSpans"][0]["spans"]]
    assert len(spans) == 100
    assert {span["traceId"] for span in spans} == {root.trace_id}
    assert {"key": "service.name", "value": {"stringValue": "ingress"}} in lines[0]["resource"][
        "attributes"
    ]


def test_a_full_disk_costs_spans_and_nothing_else() -> None:
    broken = Broken()
    line = SpanLine(broken)

    for _ in range(40):
        line.take(a_span())
    line.close()

    assert sum(broken.tried[:-1]) == 40
    assert broken.tried[-1] == -1


def test_a_collector_gets_the_same_span() -> None:
    span = a_span(slack=0.5)._replace(error="worker lost", tracestate="vendor=1")

    sent = as_sdk_span(span, Resource({"service.name": "worker"}))

    assert sent.context is not None and sent.parent is not None
    assert f"{sent.context.trace_id:032x}" == span.context.trace_id
    assert f"{sent.parent.span_id:016x}" == span.parent_id
    assert sent.status.status_code is StatusCode.ERROR
    assert (sent.start_time, sent.end_time) == (1700000000500000000, 1700000000750000000)
    assert dict(sent.attributes or {}) == {"slack": 0.5}
