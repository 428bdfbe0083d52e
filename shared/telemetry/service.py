"""A process names itself once; from then on its metrics and spans carry that name."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from opentelemetry import metrics
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.resources import Resource

from shared.telemetry.spans import Attributes, SpanExporter, SpanLine
from shared.telemetry.trace_files import TraceFile
from shared.telemetry.tracing import keep_spans


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    """Where spans go; nowhere by default, and then they cost nothing."""

    directory: Path | None = None
    to_collector: bool = False
    ratio: float = 1.0


@contextmanager
def use_service(name: str, tracing: Tracing | None = None) -> Iterator[None]:
    """Measure and trace until the end of the block; on leaving it the last spans are exported."""
    resource = _resource(name)
    _measure(resource)
    with ExitStack() as stack:
        if tracing is not None:
            lines = [_line(stack, exporter) for exporter in _exporters(name, resource, tracing)]
            stack.enter_context(keep_spans(*lines, ratio=tracing.ratio))
        yield


def _measure(resource: Attributes) -> None:
    """Once a process: OpenTelemetry binds every instrument to the first provider for good.

    Exemplars would cost a look at the trace context for each value, and nobody reads them.
    """
    if isinstance(metrics.get_meter_provider(), MeterProvider):
        return
    provider = MeterProvider(
        metric_readers=[PrometheusMetricReader(disable_target_info=True, scope_info_enabled=False)],
        resource=Resource.create(dict(resource)),
        exemplar_filter=AlwaysOffExemplarFilter(),
        shutdown_on_exit=False,
    )
    metrics.set_meter_provider(provider)


def _resource(name: str) -> Attributes:
    return {
        "service.namespace": "cato",
        "service.name": name,
        "service.instance.id": _instance(),
    }


def _instance() -> str:
    """Containers that share a directory may all be process 1."""
    return f"{socket.gethostname()}-{os.getpid()}"


def _exporters(name: str, resource: Attributes, tracing: Tracing) -> Iterator[SpanExporter]:
    if tracing.directory is not None:
        yield TraceFile(tracing.directory / f"{name}-{_instance()}.jsonl", resource)
    if tracing.to_collector:
        # The exporter and what it imports weigh 20 MB, so it is loaded only where it is used.
        from shared.telemetry.collector import Collector

        yield Collector(resource)


def _line(stack: ExitStack, exporter: SpanExporter) -> SpanLine:
    line = SpanLine(exporter)
    stack.callback(line.close)
    return line
