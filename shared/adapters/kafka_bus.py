"""Messages between processes, through Apache Kafka or the embedded broker."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Self

from shared.adapters.clock import SystemClock
from shared.adapters.handover import DeadLetters, Handover, growing_pauses
from shared.adapters.kafka.connection import PLAINTEXT, KafkaLink, KafkaSecurity
from shared.adapters.kafka.group_offsets import GroupOffsets
from shared.adapters.kafka.publisher import Delivery, Publisher
from shared.adapters.kafka.reading import Reading, Turns
from shared.adapters.kafka.replaying import offsets_since, replayed
from shared.domain.clock import Clock
from shared.domain.errors import Unavailable
from shared.messages.bus import M, Record, Subscription
from shared.messages.message import Message

log = logging.getLogger(__name__)


class KafkaBus:
    """One producer for all that is published; one consumer for each subscription."""

    def __init__(
        self, link: KafkaLink, publisher: Publisher, offsets: GroupOffsets, clock: Clock
    ) -> None:
        self._link = link
        self._publisher = publisher
        self._offsets = offsets
        self._letters = DeadLetters(bus=self, clock=clock)

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(
        cls,
        servers: str,
        *,
        security: KafkaSecurity = PLAINTEXT,
        topic_prefix: str = "",
        fetch_wait_ms: int = 500,
        delivery_timeout_s: float = 10.0,
        clock: Clock | None = None,
    ) -> AsyncIterator[Self]:
        """Raises Unavailable. `clock` dates dead letters; KafkaLink explains `fetch_wait_ms`."""
        link = KafkaLink(
            servers=servers,
            security=security,
            topic_prefix=topic_prefix,
            fetch_wait_ms=fetch_wait_ms,
            delivery_timeout_s=delivery_timeout_s,
        )
        async with contextlib.AsyncExitStack() as stack:
            publisher = await stack.enter_async_context(Publisher.connect(link))
            yield cls(link, publisher, GroupOffsets(link=link, stack=stack), clock or SystemClock())

    async def publish(self, message: Message) -> Delivery:
        return await self._publisher.publish(message)

    async def consume(
        self,
        subscription: Subscription[M],
        handle: Callable[[Sequence[Record[M]]], Awaitable[None]],
        *,
        caught_up: Callable[[], None] = lambda: None,
    ) -> None:
        turns = Turns()
        reading = Reading(
            link=self._link,
            subscription=subscription,
            partitions=subscription.partitions or await self._existing(subscription.topic),
            handover=Handover(
                message=subscription.message,
                handle=handle,
                letters=self._letters,
                is_withdrawn=lambda: turns.is_over,
            ),
            turns=turns,
            caught_up=caught_up,
        )
        await reading.run()

    async def replay(
        self, subscription: Subscription[M], *, since: Mapping[int, int] | None = None
    ) -> AsyncGenerator[Record[M], None]:
        topic = subscription.topic
        partitions = subscription.partitions or range(await self.partitions(topic))
        async for found in replayed(self._link, topic, partitions, since or {}):
            for record in await self._letters.readable(subscription.message, found):
                yield record

    async def offsets_since(self, topic: str, at: float) -> Mapping[int, int]:
        return await offsets_since(self._link, topic, range(await self.partitions(topic)), at)

    async def committed(self, topic: str, group: str) -> Mapping[int, int]:
        return await self._offsets.committed(topic, group, await self.partitions(topic))

    async def commit(self, topic: str, group: str, offsets: Mapping[int, int]) -> None:
        await self._offsets.commit(topic, group, await self.partitions(topic), offsets)

    async def partitions(self, topic: str) -> int:
        return await self._publisher.partitions(topic)

    async def _existing(self, topic: str) -> range:
        """A reader waits for its topic and its broker for as long as it takes."""
        for pause_s in growing_pauses():
            try:
                return range(await self.partitions(topic))
            except Unavailable as error:
                log.warning("topic is not there yet", extra={"topic": topic, "why": str(error)})
                await asyncio.sleep(pause_s)
        raise AssertionError("pauses never end")
