"""When vLLM's engine process dies, hangs or is stopped, every stream ends, and the worker hears."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.contract.engine_promises import Mortal, MortalPromises
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
