"""When vLLM's engine process dies, hangs or is stopped, every stream ends, and the worker hears."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from services.worker.engines.vllm import VLLMEngine
from tests.contract.engine_promises import Mortal, MortalPromises, a_job, pieces_of, text_of
from tests.vllm.tiny import a_started_engine, engine_pids

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def mortal(model_folder: Path) -> AsyncIterator[Mortal]:
    others = engine_pids()
    async with a_started_engine(model_folder, silence_s=1.0) as engine:
        (pid,) = engine_pids() - others
        yield Mortal(engine, pid)


class TestVLLMEngineIsMortal(MortalPromises):
    pass


async def test_it_does_not_die_of_a_seeded_answer_whose_prompt_takes_more_than_a_step(
    engine: VLLMEngine,
) -> None:
    asked = a_job(prompt="value = other\n" * 40)
    seeded = replace(asked, body=asked.body.model_copy(update={"seed": 7, "temperature": 0.5}))

    assert text_of(await pieces_of(engine, seeded))
    assert engine.death() is None
