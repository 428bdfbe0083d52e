"""Spans recorded in one process and another make one trace, and cost nothing where nobody looks."""

import pytest

from shared.telemetry import names
from shared.telemetry.trace_context import TraceContext, is_kept
from shared.telemetry.tracing import Memory, begin_root, keep_spans, record_span, trace_id_of

TRACE = "0af7651916cd43dd8448eb211c80319c"
INCOMING = f"00-{TRACE}-b7ad6b7169203331-01"


def test_hops_are_children_of_the_root() -> None:
    memory = Memory()

    with keep_spans(memory):
        root = begin_root(names.SPAN_TASK, start_at=100.0)
        record_span(names.SPAN_QUEUE, parent=root.traceparent, start_at=100.1, end_at=100.2)
        root.end(101.0, attributes={names.TASK_ID: "t1"})

    queue, task = memory.spans
    assert queue.parent_id == task.context.span_id
    assert queue.context.trace_id == task.context.trace_id == root.trace_id
    assert (task.start_at, task.end_at) == (100.0, 101.0)


def test_a_client_that_traces_sees_the_task_in_its_own_trace() -> None:
    memory = Memory()

    with keep_spans(memory):
        root = begin_root(
            names.SPAN_TASK,
            incoming_traceparent=INCOMING,
            incoming_tracestate="vendor=1",
            start_at=1.0,
        )
        root.end(2.0)

    (span,) = memory.spans
    assert span.context.trace_id == TRACE
    assert span.parent_id == "b7ad6b7169203331"
    assert span.tracestate == "vendor=1"


@pytest.mark.parametrize(
    "malformed",
    [
        "",
        "garbage",
        INCOMING.upper(),
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-b7ad6b7169203331-01",
        f"{INCOMING}-more",
        f"{INCOMING}\n",
    ],
)
def test_a_malformed_traceparent_begins_a_new_trace(malformed: str) -> None:
    with keep_spans(Memory()):
        root = begin_root(names.SPAN_TASK, incoming_traceparent=malformed, start_at=1.0)

    assert TraceContext.parse(root.traceparent) == root.context
    assert root.trace_id != TRACE
    assert root.parent_id is None


def test_a_future_version_of_traceparent_is_understood() -> None:
    assert trace_id_of(f"01-{TRACE}-b7ad6b7169203331-01-extra") == TRACE


def test_a_trace_that_the_client_does_not_keep_is_not_kept_here_either() -> None:
    memory = Memory()

    with keep_spans(memory):
        root = begin_root(names.SPAN_TASK, incoming_traceparent=f"{INCOMING[:-2]}00", start_at=1.0)
        record_span(names.SPAN_QUEUE, parent=root.traceparent, start_at=1.0, end_at=2.0)
        root.end(3.0)

    assert memory.spans == []
    assert root.trace_id == TRACE


def test_whoever_keeps_no_spans_still_hands_a_trace_id_on() -> None:
    root = begin_root(names.SPAN_TASK, start_at=1.0)
    record_span(names.SPAN_QUEUE, parent=root.traceparent, start_at=1.0, end_at=2.0)

    assert trace_id_of(root.traceparent) == root.trace_id
    assert root.traceparent.endswith("-00")


@pytest.mark.parametrize("parent", [None, "garbage-01"])
def test_a_hop_without_a_readable_parent_is_left_out(parent: str | None) -> None:
    memory = Memory()

    with keep_spans(memory):
        record_span(names.SPAN_QUEUE, parent=parent, start_at=1.0, end_at=2.0)

    assert memory.spans == []


def test_about_the_asked_share_of_traces_is_kept_whoever_decides() -> None:
    memory = Memory()

    with keep_spans(memory, ratio=0.25):
        roots = [begin_root(names.SPAN_TASK, start_at=1.0) for _ in range(2000)]

    kept = [root for root in roots if root.context.is_sampled]
    assert 350 < len(kept) < 650
    assert all(is_kept(root.trace_id, 0.25) for root in kept)


def test_all_and_nothing_are_exact_shares() -> None:
    highest = "f" * 32

    assert is_kept(highest, 1.0)
    assert not is_kept("1".rjust(16, "0") + "0" * 16, 0.0)
