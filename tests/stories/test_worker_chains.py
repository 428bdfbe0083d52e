"""A worker brings the answer of a chain's step back to the scheduler, and nobody else's."""

from dataclasses import replace

import pytest

from services.worker.engine import EngineRefused
from services.worker.roster import Answer
from shared.domain.task import Step, Task, TaskId
from shared.tasks.chain import MOST_OUTPUT_BYTES
from shared.telemetry import names
from shared.telemetry.tracing import Memory, keep_spans
from tests.builders import a_task
from tests.stories.worker_bench import a_bench, a_dispatch

STEP = Step(chain=TaskId("chain"), stage=1, branch=2)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def a_step() -> Task:
    return replace(a_task("chain.1.2", e2e_s=60.0), step=STEP, traceparent=TRACE)


async def test_the_answer_of_a_step_comes_back_whole_and_goes_out_under_its_chain() -> None:
    async with a_bench() as bench:
        await bench.dispatch(a_dispatch(task=a_step(), max_tokens=30))
        (ended,) = await bench.until_ended()

    pieces = bench.pieces("chain")
    assert ended.task_id == "chain.1.2"
    assert ended.output == "".join(piece.text for piece in pieces)
    assert {piece.step for piece in pieces} == {STEP}


async def test_the_answer_of_an_ordinary_task_goes_to_its_client_only() -> None:
    async with a_bench() as bench:
        await bench.dispatch(a_dispatch(max_tokens=5))
        (ended,) = await bench.until_ended()

    assert ended.output is None
    assert {piece.step for piece in bench.pieces()} == {None}


def test_an_answer_too_long_to_be_asked_about_is_refused_with_a_plain_word() -> None:
    answer = Answer()
    answer.add("x" * MOST_OUTPUT_BYTES)

    with pytest.raises(EngineRefused, match=f"more than {MOST_OUTPUT_BYTES} bytes") as refusal:
        answer.add("y")

    assert refusal.value.is_permanent


async def test_the_hops_of_a_step_are_in_the_trace_of_its_chain() -> None:
    memory = Memory()
    async with a_bench() as bench:
        with keep_spans(memory):
            await bench.dispatch(a_dispatch(task=a_step(), max_tokens=5))
            await bench.until_ended()

    assert {span.attributes[names.TASK_ID] for span in memory.spans} == {"chain"}
    assert {span.attributes[names.STEP] for span in memory.spans} == {"1.2"}
