"""Measurements of the house rest on a little arithmetic, which can be checked by hand."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from loadgen.bench.hops import Hop, median_rows, read_hops
from loadgen.bench.latency import AtRate
from loadgen.bench.processes import Sample, Samples, growth_per_s
from loadgen.bench.sheet import Sheet, encode, show
from loadgen.bench.short_tasks import OUTPUT_TOKENS, PROMPT_TOKENS, short_tasks
from shared.telemetry.spans import FinishedSpan
from shared.telemetry.trace_context import TraceContext
from shared.telemetry.trace_files import TraceFile


def test_memory_that_rises_evenly_grows_by_its_slope() -> None:
    samples = [Sample(float(at), 100 + 2 * at, 0.0) for at in range(20)]

    assert growth_per_s(samples) == pytest.approx(2)


def test_what_a_process_takes_while_it_warms_up_is_not_growth() -> None:
    warming = [Sample(float(at), 10.0 * at, 0.0) for at in range(5)]
    warm = [Sample(float(at), 50.0, 0.0) for at in range(5, 20)]

    assert growth_per_s([*warming, *warm]) == 0


def test_cpu_is_a_share_of_the_time_that_passed() -> None:
    samples = Samples(pids={}, taken={"ingress-1": [Sample(0, 50, 1.0), Sample(10, 60, 6.0)]})

    (row,) = samples.rows()

    assert (row["cpu_percent"], row["start_mb"], row["peak_mb"]) == (50.0, 50, 60)


def test_hops_are_told_apart_by_when_they_began() -> None:
    hops = [Hop("queue", 1.0, 0.002), Hop("queue", 1.5, 0.004), Hop("queue", 9.0, 0.1)]

    rows = median_rows(hops, {"slow": (0, 5), "fast": (5, 10)})

    assert rows == [{"hop": "queue", "slow": pytest.approx(3), "fast": pytest.approx(100)}]


def test_hops_are_read_from_what_services_leave_and_half_a_line_is_skipped(tmp_path: Path) -> None:
    trace = TraceFile(tmp_path / "worker-1.jsonl", {})
    trace.export(
        [FinishedSpan("feed", TraceContext("a" * 32, "b" * 16, True), None, 5.0, 5.25, {})]
    )
    trace.close()
    with (tmp_path / "worker-1.jsonl").open("a") as file:
        file.write('{"resourceSpans":[{"scope')

    (hop,) = read_hops(tmp_path)

    assert (hop.name, hop.start_at, hop.took_s) == ("feed", 5.0, 0.25)


def test_added_latency_is_the_difference_to_the_bare_engine() -> None:
    at_rate = AtRate(rate=50)
    at_rate.ttft_s = {"engine": [0.001, 0.001], "house": [0.006, 0.009], "ray serve": [0.011] * 2}
    at_rate.unanswered = {"engine": 0, "house": 1, "ray serve": 0}

    row, ratio = at_rate.row("house"), at_rate.against_ray()

    assert (row["added_p50_ms"], row["added_p99_ms"], row["lost"]) == (5, 8, 1)
    assert (ratio["ratio_p50"], ratio["ratio_p99"]) == (0.5, 0.8)


def test_a_target_that_never_answered_has_no_latency() -> None:
    at_rate = AtRate(rate=50)
    at_rate.ttft_s = {"engine": [0.001], "house": []}
    at_rate.unanswered = {"engine": 0, "house": 7}

    row = at_rate.row("house")

    assert (row["ttft_p50_ms"], row["added_p50_ms"], row["lost"]) == (None, None, 7)


def test_short_tasks_are_short_and_differ_from_their_first_character() -> None:
    bodies = [json.loads(task.body) for task in short_tasks("m", 20, 1, seed=1)]

    assert {body["max_tokens"] for body in bodies} == {OUTPUT_TOKENS}
    assert all(abs(len(body["prompt"]) / 4 - PROMPT_TOKENS) < 10 for body in bodies)
    assert len({body["prompt"][:5] for body in bodies}) == len(bodies)


def test_a_sheet_says_the_same_on_paper_and_as_json() -> None:
    sheet = Sheet(title="T", rows=[{"put_p50_ms": 0.5, "queued": 1000}], notes=("why",))
    console = Console(file=io.StringIO(), width=100)

    show([sheet], console)

    assert isinstance(console.file, io.StringIO)
    assert "put p50 ms" in console.file.getvalue()
    (told,) = json.loads(encode("scheduler", [sheet]))["sheets"]
    assert told["rows"] == [{"put_p50_ms": 0.5, "queued": 1000}]
