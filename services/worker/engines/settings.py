"""What an engine is told; each engine reads what concerns it."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, JsonValue, SecretStr, model_validator

from shared.runtime.settings import LogSettings
from shared.tasks.fim import FIM_TEMPLATES


class EngineSettings(LogSettings):
    model: str = Field(default="cato-demo", min_length=1)
    engine: str = "simulated"
    profile: str = Field(
        default="reference", min_length=1, description="a name of a profile, or a JSON file"
    )
    engine_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s?#]+$",
        description="the server's address, like http://127.0.0.1:8000/v1",
    )
    engine_api_key: SecretStr | None = None
    engine_model: str | None = Field(
        default=None,
        description="the model's name at the server, or its folder, where it is another than here",
    )
    engine_args: dict[str, JsonValue] = Field(
        default={}, description='vLLM\'s own arguments as JSON, like {"tensor_parallel_size": 2}'
    )
    engine_threads: int = Field(
        default=2, ge=1, description="of the embedded engine's own computation"
    )
    engine_fim: str = Field(
        default="auto",
        description=f"auto, or one of {', '.join(FIM_TEMPLATES)} to render every suffix here",
    )
    record_steps: Path | None = Field(
        default=None,
        description="a folder to write the engine's timings to, for `loadgen model-error`",
    )
    engine_priority: Literal["auto", "low-first", "high-first"] = Field(
        default="auto",
        description="which priorities the server serves first; auto: as its kind does",
    )
    engine_ca_file: Path | None = Field(
        default=None,
        description="certificates (PEM) to trust the server by, instead of the system's",
    )
    engine_warm_up: bool = Field(
        default=True, description="ask the server for one token before it is given work"
    )
    engine_connect_s: float = Field(default=5.0, gt=0.0)
    engine_first_byte_s: float = Field(
        default=30.0, gt=0.0, description="seconds from asking a server to its first token"
    )
    engine_silence_s: float = Field(default=30.0, gt=0.0)
    engine_start_s: float = Field(
        default=300.0, ge=0.0, description="seconds to wait at the start until the server is up"
    )

    @model_validator(mode="after")
    def _fim_is_known(self) -> Self:
        if self.engine_fim != "auto" and self.engine_fim not in FIM_TEMPLATES:
            known = ", ".join(("auto", *FIM_TEMPLATES))
            raise ValueError(f"CATO_ENGINE_FIM is {self.engine_fim!r}; known: {known}")
        return self
