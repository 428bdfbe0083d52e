"""What every engine promises a worker; each engine's suite inherits it and brings the engine."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import ClassVar

import pytest
from pydantic import JsonValue

from services.worker.engine import (
    Engine,
    EngineDied,
    EngineRefused,
    EngineUnavailable,
    Job,
    JobId,
    Piece,
)
from services.worker.engine import (
    Mortal as KnowsOfItsDeath,
)
from shared.domain.outcome import FinishReason
from shared.domain.task import Prediction
from shared.messages.body import Body, ChatMessage
from tests.eventually import eventually

CONTEXT_TOKENS = 20_000


def a_job(
    id: str = "task-1@0.1",
    *,
    prompt: str = "def add(a, b):",
    suffix: str | None = None,
    max_tokens: int = 12,
    stop: tuple[str, ...] = (),
    is_endless: bool = True,
    is_chat: bool = False,
    priority: int = 0,
    **extra: JsonValue,
) -> Job:
    return Job(
        id=JobId(id),
        kind="chat" if is_chat else "completion",
        body=Body(
            route="chat" if is_chat else "completions",
            prompt=None if is_chat else prompt,
            suffix=suffix,
            messages=(ChatMessage(role="user", content=prompt),) if is_chat else (),
            max_tokens=max_tokens,
            # A model chooses the same tokens each time; where none runs it makes no difference.
            temperature=0.0,
            stop=stop,
            extra={"ignore_eos": True, **extra} if is_endless else extra,
        ),
        prediction=Prediction(prompt_tokens=10, output_tokens_p50=10, output_tokens_p90=20),
        priority=priority,
    )


async def pieces_of(engine: Engine, job: Job) -> list[Piece]:
    async with aclosing(engine.generate(job)) as pieces:
        return [piece async for piece in pieces]


def text_of(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


async def until_idle(engine: Engine) -> None:
    def is_idle() -> bool:
        return engine.load().running + engine.load().waiting == 0

    await eventually(is_idle, within_s=0.1, saying="the engine holds nothing")


class EnginePromises:
    """`context_tokens` and `chars_a_token` are those of the engine that a suite brings."""

    context_tokens: ClassVar[int] = CONTEXT_TOKENS
    chars_a_token: ClassVar[int] = 4

    def a_prompt(self, tokens: int) -> str:
        return "x" * self.chars_a_token * tokens

    def a_long_prompt(self) -> str:
        return self.a_prompt(self.context_tokens - 1000)

    @pytest.mark.parametrize("is_chat", [False, True])
    async def test_an_answer_comes_piece_by_piece_and_its_last_one_counts_it(
        self, engine: Engine, is_chat: bool
    ) -> None:
        # Long enough to come in several pieces also where the machine is busy with others.
        pieces = await pieces_of(engine, a_job(max_tokens=90, is_chat=is_chat))

        assert [piece.finish_reason for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
        assert pieces[-1].finish_reason is FinishReason.LENGTH
        assert pieces[-1].usage is not None
        assert pieces[-1].usage.completion_tokens == sum(piece.tokens for piece in pieces) == 90
        assert pieces[-1].usage.prompt_tokens > 0
        assert len(pieces) > 3

    async def test_an_answer_never_exceeds_max_tokens(self, engine: Engine) -> None:
        jobs = [
            a_job(f"task-{n}@0.1", prompt=f"p{n}", max_tokens=5, is_endless=False) for n in range(8)
        ]

        answers = await asyncio.gather(*(pieces_of(engine, job) for job in jobs))

        for pieces in answers:
            assert pieces[-1].usage is not None
            assert pieces[-1].usage.completion_tokens <= 5

    async def test_a_stop_string_ends_the_answer_and_is_not_in_it(self, engine: Engine) -> None:
        whole = text_of(await pieces_of(engine, a_job(max_tokens=30)))
        stop = whole[20:26]

        pieces = await pieces_of(engine, a_job(max_tokens=30, stop=(stop, "never there")))

        assert text_of(pieces) == whole[: whole.index(stop)]
        assert pieces[-1].finish_reason is FinishReason.STOP
        await until_idle(engine)

    async def test_streams_do_not_mix(self, engine: Engine) -> None:
        jobs = [a_job(f"task-{n}@0.1", prompt=f"prompt {n}", max_tokens=20) for n in range(12)]
        alone = [text_of(await pieces_of(engine, job)) for job in jobs]

        together = await asyncio.gather(*(pieces_of(engine, job) for job in jobs))

        assert [text_of(pieces) for pieces in together] == alone

    async def test_an_aborted_job_leaves_within_100_ms(self, engine: Engine) -> None:
        seen: list[Piece] = []
        reading = asyncio.create_task(_read_into(seen, engine.generate(a_job(max_tokens=5000))))
        await eventually(lambda: len(seen) > 1, within_s=2, saying="two pieces came")

        leaving = asyncio.gather(engine.abort(a_job().id), reading)
        await eventually(leaving.done, within_s=0.1, saying="it has left")
        await leaving

        assert all(piece.finish_reason is None for piece in seen)
        await until_idle(engine)

    async def test_a_job_can_be_aborted_before_its_first_token(self, engine: Engine) -> None:
        seen: list[Piece] = []
        reading = asyncio.create_task(
            _read_into(seen, engine.generate(a_job(prompt=self.a_long_prompt())))
        )
        await eventually(lambda: engine.load().running > 0, within_s=2, saying="the job is in")

        leaving = asyncio.gather(engine.abort(a_job().id), reading)
        await eventually(leaving.done, within_s=0.1, saying="it has left")
        await leaving

        assert seen == []
        await until_idle(engine)

    async def test_a_reader_that_leaves_takes_the_job_out(self, engine: Engine) -> None:
        async with aclosing(engine.generate(a_job(max_tokens=5000))) as pieces:
            await anext(pieces)

        await until_idle(engine)

    async def test_a_cancelled_reader_takes_the_job_out(self, engine: Engine) -> None:
        reading = asyncio.create_task(
            pieces_of(engine, a_job(prompt=self.a_long_prompt(), max_tokens=500))
        )
        await eventually(lambda: engine.load().running > 0, within_s=2, saying="the job is in")

        reading.cancel()

        with pytest.raises(asyncio.CancelledError):
            await reading
        await until_idle(engine)

    async def test_aborting_what_is_not_there_changes_nothing(self, engine: Engine) -> None:
        await engine.abort(JobId("nobody@0.1"))

        assert len(await pieces_of(engine, a_job())) > 1

    async def test_a_prompt_beyond_the_context_is_refused_for_good(self, engine: Engine) -> None:
        with pytest.raises(EngineRefused, match="context") as refused:
            await pieces_of(engine, a_job(prompt=self.a_prompt(self.context_tokens)))

        assert refused.value.is_permanent
        assert refused.value.status == 400
        await until_idle(engine)

    async def test_the_load_tells_of_what_runs(self, engine: Engine) -> None:
        async with aclosing(engine.generate(a_job(max_tokens=5000))) as pieces:
            await anext(pieces)
            await anext(pieces)

            assert engine.load().running == 1
            assert engine.load().kv_tokens > 0
            assert engine.load().step_s > 0


@dataclass(frozen=True, slots=True)
class Mortal:
    """An engine whose model runs in the process `pid`, with little patience for its silence."""

    engine: Engine
    pid: int


class MortalPromises:
    """Of engines that can die or hang by themselves; each test is given one of its own."""

    async def test_when_it_is_killed_its_streams_end_with_its_death_and_it_knows(
        self, mortal: Mortal
    ) -> None:
        engine = mortal.engine
        assert isinstance(engine, KnowsOfItsDeath)
        pieces = engine.generate(a_job(max_tokens=3000))
        await anext(pieces)
        assert engine.death() is None

        os.kill(mortal.pid, signal.SIGKILL)

        async with asyncio.timeout(5):
            with pytest.raises(EngineDied):
                await _read_into([], pieces)
            with pytest.raises(EngineDied):
                await pieces_of(engine, a_job("task-2@0.1"))
        await until_idle(engine)
        # Idle now: whoever holds it must hear without asking for an answer.
        await eventually(lambda: engine.death() is not None, within_s=8, saying="it is noticed")

    async def test_when_it_hangs_its_streams_do_not(self, mortal: Mortal) -> None:
        pieces = mortal.engine.generate(a_job(max_tokens=3000))
        await anext(pieces)

        os.kill(mortal.pid, signal.SIGSTOP)

        async with asyncio.timeout(5):
            with pytest.raises((EngineDied, EngineUnavailable)):
                await _read_into([], pieces)
        await until_idle(mortal.engine)

    async def test_when_it_is_stopped_its_streams_end_and_nothing_begins(
        self, mortal: Mortal
    ) -> None:
        pieces = mortal.engine.generate(a_job(max_tokens=3000))
        await anext(pieces)

        await mortal.engine.stop()

        with pytest.raises(EngineDied):
            await _read_into([], pieces)
        with pytest.raises(EngineDied):
            await pieces_of(mortal.engine, a_job("task-2@0.1"))


async def _read_into(seen: list[Piece], pieces: AsyncGenerator[Piece, None]) -> None:
    async for piece in pieces:
        seen.append(piece)
