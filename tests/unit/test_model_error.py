"""The cost model's error is told on recordings, out of sample."""

from pathlib import Path

import pytest

from loadgen.model_error import (
    CONSTANT,
    LEARNED,
    LENGTH,
    PRIOR,
    STEP,
    RecordingUnreadable,
    errors,
    read_timings,
)
from shared.messages.timings import StepTimed, TaskServed, Timed
from tests.builders import REFERENCE


def a_recording(lines: int) -> list[Timed]:
    """An engine whose steps take twice the prior's fixed cost, and whose answers have 40 tokens."""
    recorded: list[Timed] = []
    for number in range(lines):
        tokens = number * 137 % 1500
        took_s = 0.012 + tokens / 25_000 + 0.04e-3 * 8 + 20e-9 * 9000
        recorded.append(
            Timed(
                step=StepTimed(
                    took_s=took_s,
                    prefill_tokens=tokens,
                    prefill_context=0,
                    sequences=8,
                    kv_tokens=9000,
                )
            )
        )
        if number % 5 == 0:
            recorded.append(Timed(served=an_answer()))
    return recorded


def an_answer() -> TaskServed:
    return TaskServed(
        kind="completion",
        prompt_tokens=500,
        output_tokens=40,
        expected_tokens=14,
        first_token_s=0.04,
        finish_s=0.5,
        held_prefill_tokens=0,
        held_sequences=8,
        held_kv_tokens=9000,
        recent_step_s=0.012,
    )


def test_what_is_learned_beats_the_prior_and_the_constant_where_the_engine_is_another() -> None:
    rows = {(row.quantity, row.model): row for row in errors([a_recording(600)], REFERENCE)}

    assert rows[STEP, LEARNED].p95 < 0.02
    assert rows[STEP, PRIOR].p50 > 0.1
    assert rows[STEP, CONSTANT].mean > 0.2
    assert rows[LENGTH, LEARNED].p50 < 0.1 < rows[LENGTH, PRIOR].p50


def test_a_line_that_is_no_timing_is_named(tmp_path: Path) -> None:
    file = tmp_path / "steps-1.jsonl"
    file.write_text('{"step": null}\n{"step": {"took_s": "long"}}\n')

    with pytest.raises(RecordingUnreadable, match="line 2"):
        read_timings(file)
