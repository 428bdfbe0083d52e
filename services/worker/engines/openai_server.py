"""Servers that speak one API still differ in names, in manners, and in which number goes first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Final, Literal, Self
from zlib import crc32

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from services.worker.engine import EngineUnavailable, Job, JobId
from services.worker.engines.settings import EngineSettings
from shared.domain.errors import SettingsError

Order = Literal["low-first", "high-first"]

# These take a suffix without a word and leave it out, unless started with a template of their own.
_DEAF_TO_SUFFIX: Final = frozenset({"sglang"})
# Source: SGLang's server arguments (`--schedule-low-priority-values-first` turns it around).
_HIGH_FIRST: Final = frozenset({"sglang"})
_PAUSES_S: Final = (0.05, 0.2)
_LEAST_MS: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where it is, what it calls the model, and how long its silence is borne.

    `is_named`: somebody said that it calls the model so; else its own list decides.
    """

    url: str
    model: str
    is_named: bool = False
    api_key: str | None = None
    ca_file: Path | None = None
    fim: str = "auto"
    order: Order | None = None
    is_warmed_up: bool = False
    connect_s: float = 5.0
    first_byte_s: float = 120.0
    silence_s: float = 30.0
    start_s: float = 300.0

    @classmethod
    def of(cls, settings: EngineSettings) -> Self:
        """Raises SettingsError."""
        if settings.engine_url is None:
            raise SettingsError("CATO_ENGINE_URL is not set; CATO_ENGINE=openai needs it")
        key, order = settings.engine_api_key, settings.engine_priority
        return cls(
            url=settings.engine_url.rstrip("/"),
            model=settings.engine_model or settings.model,
            is_named=settings.engine_model is not None,
            api_key=None if key is None else key.get_secret_value(),
            ca_file=settings.engine_ca_file,
            fim=settings.engine_fim,
            order=None if order == "auto" else order,
            is_warmed_up=settings.engine_warm_up,
            connect_s=settings.engine_connect_s,
            first_byte_s=settings.engine_first_byte_s,
            silence_s=settings.engine_silence_s,
            start_s=settings.engine_start_s,
        )

    @property
    def metrics_url(self) -> str:
        return f"{self.url.removesuffix('/v1')}/metrics"

    def no_connection(self) -> EngineUnavailable:
        return EngineUnavailable(
            f"no connection to {self.url} within {self.connect_s:g} s, the limit of"
            " CATO_ENGINE_CONNECT_S"
        )

    def no_first_token(self, limit_s: float) -> EngineUnavailable:
        return EngineUnavailable(
            f"the server was silent for {limit_s:g} s before its first token, the limit"
            " of CATO_ENGINE_FIRST_BYTE_S"
        )

    def no_next_token(self) -> EngineUnavailable:
        return EngineUnavailable(
            f"the server was silent for {self.silence_s:g} s in the middle of an answer, the limit"
            " of CATO_ENGINE_SILENCE_S"
        )


class _Card(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: str
    owned_by: str | None = None
    # As vLLM and SGLang have it.
    max_model_len: JsonValue = None


class _Cards(BaseModel):
    model_config = ConfigDict(extra="ignore")

    data: tuple[_Card, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The models that a server lists, who it says that it is, and their contexts in tokens."""

    models: tuple[str, ...] = ()
    owner: str = ""
    contexts: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, body: bytes) -> Self:
        """A list that nobody can read is an empty one: not every server has it."""
        try:
            cards = _Cards.model_validate_json(body).data or ()
        except ValidationError:
            return cls()
        owner = cards[0].owned_by if cards else None
        contexts = {
            card.id: card.max_model_len
            for card in cards
            if isinstance(card.max_model_len, int) and card.max_model_len > 0
        }
        return cls(models=tuple(card.id for card in cards), owner=owner or "", contexts=contexts)

    def model_for(self, server: Server) -> str:
        """What to call the model there. Raises SettingsError where that cannot be known."""
        known = {server.model, f"{server.model}:latest"}
        if server.is_named or not self.models or not known.isdisjoint(self.models):
            return server.model
        if len(self.models) == 1:
            return self.models[0]
        raise SettingsError(
            f"{server.url} does not list {server.model!r}; set CATO_ENGINE_MODEL to one of"
            f" {', '.join(self.models)}"
        )

    def context_of(self, model: str) -> int | None:
        """Of prompt and answer together; None where it does not tell."""
        return self.contexts.get(model)

    def leaves_out(self) -> frozenset[str]:
        """The fields that it would not refuse, and not obey either."""
        return frozenset({"suffix"}) if self.owner in _DEAF_TO_SUFFIX else frozenset()

    def order(self) -> Order:
        return "high-first" if self.owner in _HIGH_FIRST else "low-first"


def priority_of(job: Job, order: Order) -> int:
    """Low values go first here and in vLLM."""
    return job.priority if order == "low-first" else -job.priority


def headers_of(job: Job, now: float) -> dict[str, str]:
    """What is left of the promise, in milliseconds; a router in between may plan with it."""
    promise, passed_s = job.promise, max(0.0, now - job.received_at)
    left_s = {
        "x-slo-ttft-ms": promise.ttft_s and promise.ttft_s - passed_s,
        "x-slo-tpot-ms": promise.tpot_s,
        "x-slo-e2e-ms": promise.e2e_s and promise.e2e_s - passed_s,
    }
    return {
        name: str(max(_LEAST_MS, ceil(each_s * 1000)))
        for name, each_s in left_s.items()
        if each_s is not None
    }


def pauses_s(job_id: JobId) -> Iterator[float]:
    """Before each repetition, half of it to whole, so that jobs refused together do not return
    together; the same job waits the same time each run."""
    for attempt, pause_s in enumerate(_PAUSES_S):
        share = crc32(f"{job_id}/{attempt}".encode()) / 2**32
        yield pause_s * (1 + share) / 2
