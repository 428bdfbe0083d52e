"""Settings come from the environment, under one prefix; a process with wrong ones does not start.

A secret may lie in a file: `CATO_REDIS_URL_FILE=/run/secrets/redis` stands for `CATO_REDIS_URL`.
No default names another machine.
"""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Self

from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableSetting

from shared.domain.errors import SettingsError
from shared.runtime.complaints import (
    complaint_of_unreadable,
    complaints,
    warn_of_strangers,
)
from shared.runtime.logs import LogFormat
from shared.runtime.secret_files import SecretFiles
from shared.telemetry.service import Tracing

ENV_PREFIX = "CATO_"


class LogSettings(BaseSettings):
    """What a process can be told before it is known which one it is."""

    model_config = SettingsConfigDict(
        frozen=True,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="ignore",
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: LogFormat | None = Field(
        default=None, description="json or human; by default human on a terminal, else json"
    )

    @classmethod
    def load(cls, **given: str | int) -> Self:
        """`given`, by field, stands before what the environment says.

        Raises SettingsError, which names each variable, what it was and what it should be.
        """
        built: Callable[..., Self] = cls
        try:
            return built(**given)
        except ValidationError as error:
            raise SettingsError("; ".join(complaints(cls, error))) from error
        except UnreadableSetting as error:
            raise SettingsError(complaint_of_unreadable(cls, error)) from error

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, SecretFiles(settings_cls)


class ServiceSettings(LogSettings):
    """What every service is told; a service adds its own in its `settings.py`."""

    kafka_servers: str = Field(
        description="host:port of one or more brokers, separated by commas",
        pattern=r"^[^,:\s]+:\d{1,5}(,[^,:\s]+:\d{1,5})*$",
    )
    kafka_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    kafka_username: str | None = None
    kafka_password: SecretStr | None = None
    kafka_ca_file: Path | None = None
    topic_prefix: str = Field(
        default="",
        description="letters, digits, dots and dashes before the name of every topic and group",
        pattern=r"^[a-zA-Z0-9._-]{0,64}$",
    )
    fetch_wait_ms: int = Field(default=500, ge=1, le=30_000)

    model: str = Field(default="cato-demo", min_length=1)
    drain_s: float = Field(default=20.0, ge=0.0, description="seconds to finish work after SIGTERM")

    health_host: str = "127.0.0.1"
    health_port: int = Field(default=0, ge=0, le=65_535, description="a port, or 0 for none")

    trace_dir: Path | None = Field(default=None, description="a directory for files of spans")
    trace_ratio: float = Field(default=1.0, ge=0.0, le=1.0, description="share of traces to keep")
    otlp_endpoint: str | None = Field(
        default=None,
        validation_alias=AliasChoices("OTEL_EXPORTER_OTLP_ENDPOINT"),
        description="address of a collector, as the OpenTelemetry SDK reads it",
    )

    @field_validator("kafka_ca_file")
    @classmethod
    def _holds_certificates(cls, file: Path | None) -> Path | None:
        if file is not None:
            try:
                ssl.create_default_context(cafile=file)
            except OSError as error:
                raise ValueError(f"no certificates in PEM were read from it: {error}") from error
        return file

    @model_validator(mode="after")
    def _sasl_is_whole(self) -> Self:
        is_sasl = self.kafka_protocol.startswith("SASL_")
        parts = (self.kafka_sasl_mechanism, self.kafka_username, self.kafka_password)
        if is_sasl and None in parts:
            raise ValueError(
                f"CATO_KAFKA_PROTOCOL={self.kafka_protocol} also needs CATO_KAFKA_SASL_MECHANISM, "
                "CATO_KAFKA_USERNAME and CATO_KAFKA_PASSWORD"
            )
        if not is_sasl and parts != (None, None, None):
            raise ValueError(
                "CATO_KAFKA_USERNAME, CATO_KAFKA_PASSWORD, CATO_KAFKA_SASL_MECHANISM contradict "
                f"CATO_KAFKA_PROTOCOL={self.kafka_protocol}; set SASL_SSL or SASL_PLAINTEXT"
            )
        return self

    @model_validator(mode="after")
    def _ca_is_used(self) -> Self:
        if self.kafka_ca_file is not None and not self.kafka_protocol.endswith("SSL"):
            raise ValueError(
                f"CATO_KAFKA_CA_FILE contradicts CATO_KAFKA_PROTOCOL={self.kafka_protocol}; "
                "set SSL or SASL_SSL"
            )
        return self

    @property
    def tracing(self) -> Tracing:
        return Tracing(
            directory=self.trace_dir,
            to_collector=self.otlp_endpoint is not None,
            ratio=self.trace_ratio,
        )

    @classmethod
    def load(cls, **given: str | int) -> Self:
        settings = super().load(**given)
        warn_of_strangers(cls)
        return settings


class RedisSettings(ServiceSettings):
    """For the services that keep state in Redis."""

    redis_url: str = Field(
        description="redis://host:port/db, rediss://… for TLS or unix://path",
        pattern=r"^(rediss?|unix)://.+",
        repr=False,  # it may carry a password
    )
