"""One tiny model and one vLLM for a whole session of tests; it takes long to start."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from services.worker.engines.vllm import VLLMEngine
from tests.vllm.tiny import a_started_engine


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from deploy.models.tiny_llama import write_model, write_tokenizer

    folder = tmp_path_factory.mktemp("tiny")
    write_model(folder, write_tokenizer(folder))
    return folder


@pytest.fixture(scope="session")
def timings_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the engine writes down what its steps did."""
    return tmp_path_factory.mktemp("timings")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def engine(model_folder: Path, timings_folder: Path) -> AsyncIterator[VLLMEngine]:
    async with a_started_engine(model_folder, record_to=timings_folder) as engine:
        yield engine
