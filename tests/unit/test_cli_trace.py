"""An operator asks where the time of one task went."""

import re
from pathlib import Path

import pytest

from deploy.cli.errors import CommandFailed
from deploy.cli.trace_files import hops_of
from deploy.cli.trace_page import page
from shared.telemetry import names
from shared.telemetry.trace_files import TraceFile
from shared.telemetry.tracing import Memory, Root, begin_root, keep_spans, record_span

AT = 1_700_000_000.0


def a_root() -> Root:
    return begin_root(names.SPAN_TASK, start_at=AT)


def end(root: Root, *, task_id: str = "t1", took_s: float = 0.2) -> None:
    root.end(
        AT + took_s,
        attributes={
            names.TASK_ID: task_id,
            names.KIND: "completion",
            names.LATENCY_CLASS: "ttft",
            names.MODEL: "small",
            names.OUTCOME: "completed",
            names.TTFT_S: 0.05,
            names.PROMISED_TTFT_S: 0.3,
            names.PROMISE_KEPT: True,
        },
    )


def hop(root: Root, name: str, begin_s: float, end_s: float, worker: str | None = None) -> None:
    attributes = {} if worker is None else {names.WORKER: worker}
    record_span(
        name,
        parent=root.traceparent,
        start_at=AT + begin_s,
        end_at=AT + end_s,
        attributes=attributes,
    )


def written(directory: Path, **services: Memory) -> Path:
    for name, memory in services.items():
        file = TraceFile(directory / f"{name}-1.jsonl", {"service.name": name})
        for span in memory.spans:
            file.export([span])
        file.close()
    return directory


def a_traced_task(directory: Path) -> Root:
    """One task whose hops lie in the files of three processes, beside another task."""
    ingress, scheduler, worker = Memory(), Memory(), Memory()
    with keep_spans(ingress):
        root, other = a_root(), a_root()
        hop(root, names.SPAN_ACCEPT, 0.0, 0.002)
        end(other, task_id="t2")
        end(root)
    with keep_spans(scheduler):
        hop(root, names.SPAN_QUEUE, 0.004, 0.02)
        hop(other, names.SPAN_QUEUE, 0.004, 0.2)
    with keep_spans(worker):
        hop(root, names.SPAN_ENGINE, 0.025, 0.195, worker="w1/7")
    written(directory, ingress=ingress, scheduler=scheduler, worker=worker)
    return root


def test_hops_of_all_processes_come_together_by_task_id(tmp_path: Path) -> None:
    a_traced_task(tmp_path)

    hops = hops_of("t1", tmp_path)

    assert [(hop.name, hop.where) for hop in hops] == [
        (names.SPAN_TASK, "ingress"),
        (names.SPAN_ACCEPT, "ingress"),
        (names.SPAN_QUEUE, "scheduler"),
        (names.SPAN_ENGINE, "worker w1/7"),
    ]


def test_a_trace_id_finds_the_same_hops(tmp_path: Path) -> None:
    root = a_traced_task(tmp_path)

    assert hops_of(root.trace_id, tmp_path) == hops_of("t1", tmp_path)


def test_the_page_tells_promise_slack_and_shares(tmp_path: Path) -> None:
    root = a_traced_task(tmp_path)

    told = page(hops_of("t1", tmp_path))

    assert f"task t1 · completion (ttft) on small · trace {root.trace_id}" in told
    assert "TTFT 50.0 ms of 300.0 ms promised · promise kept" in told
    assert "E2E 200.0 ms" in told
    assert re.search(r"queue +scheduler +4\.0 +16\.0 +280\.0 +[·#]{40}", told)
    assert "queue 16.0 ms (8%)" in told
    assert "engine 170.0 ms (85%)" in told


def test_a_task_that_still_runs_shows_what_is_known(tmp_path: Path) -> None:
    scheduler = Memory()
    with keep_spans(scheduler):
        root = a_root()
        hop(root, names.SPAN_QUEUE, 0.0, 0.01)

    told = page(hops_of(root.trace_id, written(tmp_path, scheduler=scheduler)))

    assert "no root span" in told
    assert "queue 10.0 ms (100%)" in told


def test_hops_that_overlap_share_the_time_once(tmp_path: Path) -> None:
    services = Memory()
    with keep_spans(services):
        root = a_root()
        hop(root, names.SPAN_CLASSIFY, 0.0, 0.01)
        hop(root, names.SPAN_QUEUE, 0.0, 0.04)
        hop(root, names.SPAN_ENGINE, 0.05, 0.2)
        end(root)

    told = page(hops_of("t1", written(tmp_path, services=services)))

    assert "classify 10.0 ms (5%) · queue 30.0 ms (15%)" in told
    assert "engine 150.0 ms (75%) · between 10.0 ms (5%)" in told


def test_a_task_that_nobody_waits_for_is_not_said_to_have_ended(tmp_path: Path) -> None:
    ingress, worker = Memory(), Memory()
    with keep_spans(ingress):
        root = a_root()
        root.end(AT + 0.02, attributes={names.TASK_ID: "t1"})
    with keep_spans(worker):
        hop(root, names.SPAN_ENGINE, 0.05, 0.4, worker="gpu-1/abc")

    told = page(hops_of(root.trace_id, written(tmp_path, ingress=ingress, worker=worker)))

    assert "accepted after 20.0 ms, the last hop recorded so far ended after 400.0 ms" in told
    assert "never" not in told


def test_the_steps_of_a_chain_are_told_apart_and_counted_once(tmp_path: Path) -> None:
    memory = Memory()
    with keep_spans(memory):
        root = a_root()
        for number, begin_s in (("0.0", 0.0), ("1.0", 0.5)):
            for name in (names.SPAN_ENGINE, names.SPAN_STEP):
                record_span(
                    name,
                    parent=root.traceparent,
                    start_at=AT + begin_s,
                    end_at=AT + begin_s + 0.5,
                    attributes={names.TASK_ID: "t1", names.STEP: number},
                )

    told = page(hops_of("t1", written(tmp_path, worker=memory)))

    assert re.search(r"^engine 0\.0 .* 500\.0", told, re.MULTILINE)
    assert re.search(r"^step 1\.0 .* 500\.0", told, re.MULTILINE)
    assert "engine 1000.0 ms (100%)" in told


def test_a_half_written_line_is_left_for_later(tmp_path: Path) -> None:
    a_traced_task(tmp_path)
    file = tmp_path / "worker-1.jsonl"
    file.write_bytes(file.read_bytes() * 2 + file.read_bytes()[:40])

    assert len(hops_of("t1", tmp_path)) == 5


def test_a_file_that_was_replaced_is_read_too(tmp_path: Path) -> None:
    a_traced_task(tmp_path)
    (tmp_path / "worker-1.jsonl").rename(tmp_path / "worker-1.jsonl.1")

    assert len(hops_of("t1", tmp_path)) == 4


@pytest.mark.parametrize(
    ("wanted", "directory", "said"),
    [
        ("t9", "traces", "no span of 't9' in 3 files"),
        ("t1", "empty", "no span files under"),
        ("t1", "nowhere", "CATO_TRACE_DIR"),
        ("t1", "broken", "not OTLP"),
    ],
)
def test_what_cannot_be_found_is_explained(
    tmp_path: Path, wanted: str, directory: str, said: str
) -> None:
    a_traced_task(tmp_path / "traces")
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.jsonl").write_text('{"resourceSpans": "t1"}\n')

    with pytest.raises(CommandFailed, match=said):
        hops_of(wanted, tmp_path / directory)
