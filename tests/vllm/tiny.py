"""The tiny model in vLLM, as small as it still is vLLM: one thread, no compiler, no download."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import psutil
from pydantic import JsonValue

from services.worker.engines.vllm import VLLMEngine
from services.worker.engines.vllm_model import Model
from services.worker.speedometer import Speedometer
from shared.adapters.clock import SystemClock
from shared.tasks.fim import FIM_TEMPLATES
from tests.builders import REFERENCE

CONTEXT_TOKENS: Final = 4096
MODEL: Final = "tiny"
# Two cores are shared with everybody else: one process for the model, one thread in it.
ENVIRONMENT: Final = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "TORCHDYNAMO_DISABLE": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
}
OPTIONS: Final[dict[str, JsonValue]] = {
    "enforce_eager": True,
    "distributed_executor_backend": "uni",
    "kv_cache_memory_bytes": 64 * 2**20,
    "dtype": "float32",
    "max_num_seqs": 16,
}
# vLLM holds its FastAPI back at a version older than the ingress needs, so only the worker runs in
# its environment; the rest of the house runs in the house's own.
HOUSE_PYTHON: Final = str(Path(__file__).parents[2] / ".venv" / "bin" / "python")
PYTHONS: Final = {name: HOUSE_PYTHON for name in ("classifier", "scheduler", "ingress")}
# Small chunks, so that a long prompt takes many steps.
PROFILE: Final = replace(REFERENCE, chunk_tokens=256)

os.environ.update(ENVIRONMENT)


@asynccontextmanager
async def a_started_engine(
    folder: Path, *, silence_s: float = 30.0, record_to: Path | None = None
) -> AsyncIterator[VLLMEngine]:
    engine = VLLMEngine(
        model=Model(
            source=str(folder),
            fim=FIM_TEMPLATES["qwen2.5-coder"],
            options=OPTIONS,
            silence_s=silence_s,
        ),
        profile=PROFILE,
        clock=SystemClock(),
        speed=Speedometer.of(PROFILE, record_to),
    )
    try:
        await engine.start()
        yield engine
    finally:
        await engine.stop()


def engine_pids(parent: int | None = None) -> set[int]:
    """The processes in which vLLM's engines run, below this process or another."""
    below = psutil.Process(parent).children(recursive=True)
    return {child.pid for child in below if "EngineCore" in _name_of(child)}


def _name_of(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.NoSuchProcess:
        return "gone meanwhile"


def worker_settings(folder: Path) -> dict[str, str]:
    """What a worker process is told to serve the tiny model."""
    return {
        **ENVIRONMENT,
        "CATO_ENGINE": "vllm",
        "CATO_ENGINE_MODEL": str(folder),
        "CATO_ENGINE_ARGS": json.dumps(OPTIONS),
        "CATO_MODEL": MODEL,
    }
