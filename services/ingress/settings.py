"""What an operator can set about an ingress."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field, field_validator

from services.ingress.context import Vocabularies
from shared.runtime.settings import RedisSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """Limits of one ingress; the settings explain each."""

    model: str = "cato-demo"
    context_tokens: int = 131_072
    vocabularies: Vocabularies = field(default_factory=Vocabularies)
    small_first: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    small_first_confidence: float = 0.0
    max_body_bytes: int = 1_835_008
    max_open_bytes: int = 64 * 1024 * 1024
    client_buffer_bytes: int = 256 * 1024
    head_s: float = 10.0
    keep_alive_s: float = 10.0
    backlog_stale_s: float = 5.0
    event_bytes: int = 4 * 1024 * 1024
    idempotency_ttl_s: float = 3600.0


class IngressSettings(RedisSettings):
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8000, ge=0, le=65_535, description="port to listen on; 0 takes any")
    tenants_file: Path | None = Field(
        default=None, description="TOML with API keys and quotas; without it everybody is `local`"
    )

    context_tokens: int = Field(
        default=131_072, ge=16, description="of models whose workers do not tell what theirs is"
    )
    tokenizers: dict[str, Path] = Field(
        default={},
        description='JSON, by model, like {"large": "/models/large/tokenizer.json"}; without one'
        " only a prompt that is too long by any is refused before the queue",
    )
    small_first: dict[str, tuple[str, str]] = Field(
        default={},
        description='JSON, like {"auto": ["small", "large"]}: who names `auto` is answered by'
        " `large`, or by `small` if it is a completion and the small answer stands up to a check",
    )
    small_first_confidence: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="how probable a small answer has to be by its model's own reckoning, all of"
        " it; 0 asks for none. Every engine of the small models has to tell log-probabilities",
    )
    max_body_bytes: int = Field(
        # 256 KiB of control characters are 1.5 MiB of JSON, and a record has room for 2 MiB.
        default=1_835_008,
        ge=1024,
        le=1_966_080,
        description="largest HTTP body",
    )
    max_open_bytes: int = Field(
        default=64 * 1024 * 1024, ge=1024, description="bodies of all open requests together"
    )
    client_buffer_bytes: int = Field(
        default=256 * 1024, ge=1024, description="unread answer at which a slow client is cut off"
    )

    head_s: float = Field(default=10.0, gt=0, description="longest wait before a stream's head")
    keep_alive_s: float = Field(default=10.0, gt=0, description="silence before a comment is sent")
    backlog_stale_s: float = Field(default=5.0, gt=0, description="silence that means no scheduler")

    event_ttl_s: float = Field(default=3600.0, ge=1, description="how long ended tasks are kept")
    event_bytes: int = Field(default=4 * 1024 * 1024, ge=1024, description="events of one task")
    idempotency_ttl_s: float = Field(default=3600.0, ge=1)

    @field_validator("small_first")
    @classmethod
    def _names_two(cls, pairs: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
        for name, (small, large) in pairs.items():
            if small == large:
                raise ValueError(f"{name!r} needs two models, not {small!r} twice")
        return pairs

    def knobs(self) -> Knobs:
        """Raises SettingsError for a tokenizer that cannot be read."""
        return Knobs(
            model=self.model,
            context_tokens=self.context_tokens,
            vocabularies=Vocabularies.load(self.tokenizers),
            small_first=self.small_first,
            small_first_confidence=self.small_first_confidence,
            max_body_bytes=self.max_body_bytes,
            max_open_bytes=self.max_open_bytes,
            client_buffer_bytes=self.client_buffer_bytes,
            head_s=self.head_s,
            keep_alive_s=self.keep_alive_s,
            backlog_stale_s=self.backlog_stale_s,
            event_bytes=self.event_bytes,
            idempotency_ttl_s=self.idempotency_ttl_s,
        )
