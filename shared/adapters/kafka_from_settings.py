"""A process reaches Kafka as its settings say; here their words become those of the adapter."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from shared.adapters.handover import growing_pauses
from shared.adapters.kafka.connection import KafkaSecurity
from shared.adapters.kafka.topic_creation import create_topics
from shared.adapters.kafka_bus import KafkaBus
from shared.domain.clock import Clock
from shared.domain.errors import Unavailable
from shared.messages.topics import TOPICS, keeping_prompts

log = logging.getLogger(__name__)


class KafkaSettings(Protocol):
    """What the settings of every service hold about Kafka."""

    @property
    def kafka_servers(self) -> str: ...
    @property
    def kafka_protocol(self) -> str: ...
    @property
    def kafka_sasl_mechanism(self) -> str | None: ...
    @property
    def kafka_username(self) -> str | None: ...
    @property
    def kafka_password(self) -> SecretStr | None: ...
    @property
    def kafka_ca_file(self) -> Path | None: ...
    @property
    def topic_prefix(self) -> str: ...
    @property
    def fetch_wait_ms(self) -> int: ...


def connect_kafka(
    settings: KafkaSettings, *, clock: Clock | None = None
) -> AbstractAsyncContextManager[KafkaBus]:
    """Raises Unavailable on entering, where Kafka cannot be reached."""
    return KafkaBus.connect(
        settings.kafka_servers,
        security=_security(settings),
        topic_prefix=settings.topic_prefix,
        fetch_wait_ms=settings.fetch_wait_ms,
        clock=clock,
    )


@asynccontextmanager
async def await_kafka(settings: KafkaSettings, *, clock: Clock) -> AsyncIterator[KafkaBus]:
    """As long as it takes: a service may be there before its broker, as it may outlive one."""
    async with AsyncExitStack() as stack:
        yield await _connected(settings, clock, stack)


async def _connected(settings: KafkaSettings, clock: Clock, stack: AsyncExitStack) -> KafkaBus:
    for pause_s in growing_pauses():
        try:
            return await stack.enter_async_context(connect_kafka(settings, clock=clock))
        except Unavailable as error:
            log.warning("Kafka is not there yet", extra={"why": str(error), "again_in_s": pause_s})
            await asyncio.sleep(pause_s)
    raise AssertionError("pauses never end")


async def create_missing_topics(
    settings: KafkaSettings, *, replication: int = 1, prompts_kept_s: float | None = None
) -> None:
    """Raises Unavailable, where Kafka cannot be reached or does not make one."""
    await create_topics(
        settings.kafka_servers,
        topics=TOPICS if prompts_kept_s is None else keeping_prompts(prompts_kept_s),
        security=_security(settings),
        topic_prefix=settings.topic_prefix,
        replication=replication,
    )


def _security(settings: KafkaSettings) -> KafkaSecurity:
    password = settings.kafka_password
    return KafkaSecurity(
        protocol=settings.kafka_protocol,
        sasl_mechanism=settings.kafka_sasl_mechanism,
        username=settings.kafka_username,
        password=None if password is None else password.get_secret_value(),
        ca_file=settings.kafka_ca_file,
    )
