"""Every client of a Kafka cluster reaches it by the same address and with the same credentials."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from shared.domain.errors import Unavailable
from shared.messages.topics import MAX_BATCH_BYTES

_STOP_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSecurity:
    """How to prove who we are; the names are those of Kafka's own settings."""

    protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    username: str | None = None
    password: str | None = None
    ca_file: Path | None = None

    def arguments(self) -> dict[str, Any]:
        arguments: dict[str, Any] = {"security_protocol": self.protocol}
        if self.protocol.endswith("SSL"):
            arguments["ssl_context"] = ssl.create_default_context(cafile=self.ca_file)
        if self.sasl_mechanism is not None:
            arguments["sasl_mechanism"] = self.sasl_mechanism
            arguments["sasl_plain_username"] = self.username
            arguments["sasl_plain_password"] = self.password
        return arguments


PLAINTEXT: Final = KafkaSecurity()


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaLink:
    """Where the cluster is, under which prefix this house lives there, and how patient it is.

    `fetch_wait_ms` is how long a broker without news keeps a fetch: Apache Kafka answers at once
    when there is news, so long is cheap; the embedded broker sleeps it out, so it must be short.
    """

    servers: str
    security: KafkaSecurity = PLAINTEXT
    topic_prefix: str = ""
    fetch_wait_ms: int = 500
    delivery_timeout_s: float = 10.0

    def arguments(self) -> dict[str, Any]:
        """What every aiokafka client is told."""
        return {"bootstrap_servers": self.servers.split(","), **self.security.arguments()}

    def name(self, name: str) -> str:
        """The name of a topic or a group as the cluster knows it."""
        return self.topic_prefix + name

    @contextlib.asynccontextmanager
    async def consumer(
        self,
        group: str | None,
        *,
        begins_at: str = "earliest",
        patience_s: float = 0.0,
        prepare: Callable[[AIOKafkaConsumer], None] = lambda _: None,
    ) -> AsyncIterator[AIOKafkaConsumer]:
        """A started consumer; what it reads is for the caller to say."""
        patience_ms = round(patience_s * 1000)
        consumer = AIOKafkaConsumer(
            **self.arguments(),
            group_id=None if group is None else self.name(group),
            auto_offset_reset=begins_at,
            enable_auto_commit=False,
            # More than ever comes in that time, so that the broker waits it out.
            fetch_min_bytes=MAX_BATCH_BYTES if patience_ms else 1,
            fetch_max_wait_ms=patience_ms or self.fetch_wait_ms,
            max_partition_fetch_bytes=MAX_BATCH_BYTES,
            # Records of a dead member wait for this long; brokers allow no less by default.
            session_timeout_ms=6_000,
            heartbeat_interval_ms=500,
            rebalance_timeout_ms=30_000,
        )
        try:
            prepare(consumer)
            await consumer.start()
            yield consumer
        finally:
            with contextlib.suppress(TimeoutError, KafkaError):
                async with asyncio.timeout(_STOP_WITHIN_S):
                    await consumer.stop()

    @contextlib.asynccontextmanager
    async def answering(self) -> AsyncIterator[None]:
        """Raises Unavailable where Kafka fails or takes longer than a delivery may."""
        try:
            async with asyncio.timeout(self.delivery_timeout_s):
                yield
        except (KafkaError, TimeoutError, OSError) as error:
            raise Unavailable(f"Kafka at {self.servers}: {error!r}") from error
