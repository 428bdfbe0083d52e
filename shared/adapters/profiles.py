"""A profile says how fast an engine is and what it holds; each number with its source, as data."""

from pathlib import Path
from typing import Final

from pydantic import (
    BaseModel,
    ConfigDict,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)

from shared.domain.errors import SettingsError
from shared.scheduling.step_time import EngineProfile, StepTime

_FOLDER: Final = Path(__file__).parents[1] / "scheduling" / "profiles"

# A service is told by its environment, a command by whoever types it.
_SAID_BY: Final = "CATO_PROFILE or --profile"

PROFILES: Final = tuple(sorted(file.stem for file in _FOLDER.glob("*.json")))


class _Sourced(BaseModel):
    model_config = ConfigDict(extra="forbid")

    source: str


class _Seconds(_Sourced):
    value: NonNegativeFloat


class _Count(_Sourced):
    value: PositiveInt


class Published(_Sourced):
    """What others measured: tokens a second, in and out together, with as many requests of this
    size as there is room for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt_tokens: PositiveInt
    output_tokens: PositiveInt
    tokens_per_s: PositiveFloat


class _ProfileFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    base_s: _Seconds
    prefill_s: _Seconds
    attention_s: _Seconds
    decode_s: _Seconds
    kv_s: _Seconds
    chunk_tokens: _Count
    max_sequences: _Count
    kv_capacity_tokens: _Count
    context_tokens: _Count
    published: Published | None = None


def load_profile(name: str) -> EngineProfile:
    """By name, or from a JSON file. Raises SettingsError that says what would have worked."""
    return _profile(*_read(name))


def published(name: str) -> Published | None:
    """A throughput that the profile should come near, where somebody published one."""
    return _read(name)[1].published


def _read(name: str) -> tuple[str, _ProfileFile]:
    file = _FOLDER / f"{name}.json" if name in PROFILES else Path(name)
    try:
        data = _ProfileFile.model_validate_json(file.read_bytes())
    except OSError as error:
        raise SettingsError(
            f"{_SAID_BY}: no profile {name!r}; known: {', '.join(PROFILES)}, or a JSON file"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise SettingsError(f"{_SAID_BY}: {file.name}: {field}: {first['msg']}") from error
    if data.chunk_tokens.value < data.max_sequences.value:
        raise SettingsError(f"{_SAID_BY}: {file.name}: chunk_tokens must be >= max_sequences")
    return file.stem, data


def _profile(name: str, data: _ProfileFile) -> EngineProfile:
    fields = {field: told for field, told in data if told is not None}
    return EngineProfile(
        name=name,
        step_time=StepTime(
            base_s=data.base_s.value,
            prefill_s=data.prefill_s.value,
            attention_s=data.attention_s.value,
            decode_s=data.decode_s.value,
            kv_s=data.kv_s.value,
        ),
        chunk_tokens=data.chunk_tokens.value,
        max_sequences=data.max_sequences.value,
        kv_capacity_tokens=data.kv_capacity_tokens.value,
        context_tokens=data.context_tokens.value,
        source="; ".join(f"{field}: {sourced.source}" for field, sourced in fields.items()),
    )
