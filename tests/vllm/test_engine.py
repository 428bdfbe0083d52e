"""vLLM itself keeps an engine's promises, and serves the tightest deadline first."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from services.worker.engine import EngineRefused, Job
from services.worker.engines.vllm import VLLMEngine
from shared.adapters.clock import SystemClock
from shared.messages.timings import StepTimed, Timed
from tests.contract.engine_promises import (
    EnginePromises,
    a_job,
    pieces_of,
    text_of,
    until_idle,
)
from tests.contract.logprob_promises import LogprobPromises
from tests.eventually import eventually
from tests.vllm.tiny import CONTEXT_TOKENS

pytestmark = pytest.mark.asyncio(loop_scope="session")


class TestVLLMEngine(EnginePromises, LogprobPromises):
    context_tokens: ClassVar[int] = CONTEXT_TOKENS
    chars_a_token: ClassVar[int] = 1


async def test_the_profile_tells_what_this_engine_can_hold(engine: VLLMEngine) -> None:
    profile = engine.profile

    assert (profile.context_tokens, profile.chunk_tokens) == (CONTEXT_TOKENS, 256)
    assert profile.kv_capacity_tokens > CONTEXT_TOKENS


async def test_an_answer_ends_where_the_context_does(engine: VLLMEngine) -> None:
    pieces = await pieces_of(engine, a_job(prompt="x" * (CONTEXT_TOKENS - 3), max_tokens=500))

    assert sum(piece.tokens for piece in pieces) == 3
    assert pieces[-1].finish_reason == "length"


async def test_a_common_beginning_is_computed_once(engine: VLLMEngine) -> None:
    imports = "import this\n" * 40
    await pieces_of(engine, a_job(prompt=imports + "a"))

    pieces = await pieces_of(engine, a_job("task-2@0.1", prompt=imports + "b"))

    assert pieces[-1].usage is not None
    # vLLM shares whole blocks, on a CPU of 128 tokens each.
    assert pieces[-1].usage.cached_tokens == len(imports) // 128 * 128


async def test_the_middle_is_filled_in_with_the_marks_of_the_model(engine: VLLMEngine) -> None:
    around = a_job(prompt="def f(", suffix="):\n    pass", is_endless=False)
    rendered = "<|fim_prefix|>def f(<|fim_suffix|>):\n    pass<|fim_middle|>"

    here = await pieces_of(engine, around)
    by_hand = await pieces_of(engine, a_job("task-2@0.1", prompt=rendered, is_endless=False))

    assert text_of(here) == text_of(by_hand)
    assert here[-1].usage is not None
    # One token for each mark and each byte.
    assert here[-1].usage.prompt_tokens == 3 + len("def f(") + len("):\n    pass")


async def test_an_answer_has_the_form_that_was_asked_for(engine: VLLMEngine) -> None:
    job = a_job(is_endless=False, is_chat=True, max_tokens=60)

    pieces = await pieces_of(engine, with_extra(job, guided_choice=["left", "right"]))

    assert text_of(pieces) in ("left", "right")


async def test_a_late_but_tight_task_overtakes_those_that_wait(engine: VLLMEngine) -> None:
    order: list[str] = []

    async def first_token_of(job: Job) -> None:
        async with aclosing(engine.generate(job)) as pieces:
            await anext(pieces)
            order.append(str(job.id))

    def a_task(name: str, deadline_ms: int) -> Job:
        # No common beginning, so that each has to be computed.
        return a_job(name, prompt=f"{name} " * 200, max_tokens=200, priority=deadline_ms)

    overload = [a_task(f"loose-{n}", 2_000_000_000_000) for n in range(24)]
    running = [asyncio.create_task(first_token_of(job)) for job in overload]
    await eventually(
        lambda: engine.load().waiting >= 8, within_s=30, saying="the engine is overloaded"
    )
    await first_token_of(a_task("tight", 1_900_000_000_000))
    overtaken = len(overload) - order.index("tight")
    await asyncio.gather(*running)

    assert overtaken >= len(overload) // 3
    await until_idle(engine)


async def test_the_steps_it_tells_of_are_those_that_it_made(
    engine: VLLMEngine, timings_folder: Path
) -> None:
    clock = SystemClock()
    jobs = [a_job(f"task-{n}@0.1", prompt=str(n) * 1500, max_tokens=400) for n in range(8)]
    told_before, began = len(steps_in(timings_folder)), clock.monotonic()

    answers = await asyncio.gather(*(pieces_of(engine, job) for job in jobs))

    took_s, steps = clock.monotonic() - began, steps_in(timings_folder)[told_before:]
    usages = [pieces[-1].usage for pieces in answers]
    computed = sum(usage.prompt_tokens - usage.cached_tokens for usage in usages if usage)
    # Between two steps others take their share of a busy machine; no more than has passed there is.
    # Steps are told of when 50 ms are full, so those of the last moment are missing.
    assert took_s / 2 < sum(step.took_s for step in steps) < 1.1 * took_s
    assert sum(step.prefill_tokens for step in steps) == pytest.approx(computed, rel=0.1)
    # The first token of an answer comes with the last of its prompt.
    assert sum(step.sequences for step in steps) == pytest.approx(8 * 399, rel=0.1)
    assert max(step.kv_tokens / step.steps for step in steps) == pytest.approx(8 * 1900, rel=0.1)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"top_k": "many"}, "top_k"),
        ({"stop_token_ids": ["x"]}, "stop_token_ids"),
        ({"allowed_token_ids": [10**9]}, "allowed_token_ids"),
        ({"min_tokens": 10**6}, "min_tokens"),
        ({"prompt_token_ids": [10**6]}, "token ids"),
        ({"prompt_token_ids": [-1]}, "token ids"),
        ({"response_format": {"type": "json_schema", "json_schema": "n"}}, "json_schema"),
        ({"guided_regex": "("}, "vLLM"),
        ({"structured_outputs": {"form": "free"}}, "structured outputs"),
    ],
)
async def test_a_bad_field_is_refused_by_name_and_harms_nobody_else(
    engine: VLLMEngine, extra: dict[str, object], said: str
) -> None:
    other = asyncio.create_task(pieces_of(engine, a_job("task-2@0.1", max_tokens=40)))

    with pytest.raises(EngineRefused, match=said) as refused:
        await pieces_of(engine, with_extra(a_job(), **extra))

    assert (refused.value.status, refused.value.is_permanent) == (400, True)
    assert sum(piece.tokens for piece in await other) == 40


async def test_a_prompt_too_long_is_told_both_lengths(engine: VLLMEngine) -> None:
    with pytest.raises(EngineRefused, match="5000 tokens; the context of 4096"):
        await pieces_of(engine, a_job(prompt="x" * 5000))


def steps_in(folder: Path) -> list[StepTimed]:
    lines = "".join(file.read_text() for file in folder.iterdir()).splitlines()
    return [step for line in lines if (step := Timed.model_validate_json(line).step) is not None]


def with_extra(job: Job, **extra: object) -> Job:
    return replace(job, body=job.body.model_copy(update={"extra": extra}))
