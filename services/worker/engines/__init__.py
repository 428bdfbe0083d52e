"""Engines by name; one file and one line each."""

from collections.abc import Callable, Mapping
from typing import Final

from services.worker.engine import Engine
from services.worker.engines.embedded import EmbeddedEngine
from services.worker.engines.openai import OpenAIEngine
from services.worker.engines.settings import EngineSettings
from services.worker.engines.simulated import SimulatedEngine
from services.worker.engines.vllm import VLLMEngine
from shared.domain.clock import Clock

ENGINES: Final[Mapping[str, Callable[[EngineSettings, Clock], Engine]]] = {
    "simulated": SimulatedEngine.of,
    "openai": OpenAIEngine.of,
    "embedded": EmbeddedEngine.of,
    "vllm": VLLMEngine.of,
}
