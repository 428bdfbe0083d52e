"""A record is published when Kafka says so; until then it has only its place in line."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Generator
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerClosed

from shared.adapters.kafka.connection import KafkaLink
from shared.domain.errors import Unavailable
from shared.messages.bus import Position
from shared.messages.message import Message
from shared.messages.topics import MAX_BATCH_BYTES, MAX_RECORD_BYTES
from shared.telemetry import names
from shared.telemetry.instruments import refused_publications

log = logging.getLogger(__name__)

# A batch grows while the one before it is under way; a bigger one holds no publisher back.
_BATCH_BYTES = 1024 * 1024


class Delivery:
    """Kafka's word about one record, for whoever cares to wait for it."""

    __slots__ = ("_is_awaited", "_sent", "_topic", "_until")

    def __init__(self, sent: "asyncio.Future[Any]", *, topic: str, until: float) -> None:
        self._sent = sent
        self._topic = topic
        self._until = until
        self._is_awaited = False
        sent.add_done_callback(self._note_refusal)

    def __await__(self) -> Generator[Any, None, Position]:
        self._is_awaited = True
        return self._position().__await__()

    async def _position(self) -> Position:
        """Raises Unavailable; a record given up here may still arrive, as at least once allows."""
        try:
            async with asyncio.timeout_at(self._until):
                placed = await asyncio.shield(self._sent)
        except (KafkaError, TimeoutError) as error:
            raise Unavailable(f"Kafka did not acknowledge {self._topic}: {error!r}") from error
        return Position(self._topic, placed.partition, placed.offset)

    def _note_refusal(self, sent: "asyncio.Future[Any]") -> None:
        error = "cancelled" if sent.cancelled() else sent.exception()
        if error is None:
            return
        refused_publications.add(1, {names.DESTINATION: self._topic})
        if not self._is_awaited:
            log.error("record was refused", extra={"topic": self._topic, "why": repr(error)})


class Publisher:
    """One producer for a whole process: idempotent, unhurried by nothing, waiting for all acks.

    A failed batch leaves a hole in the numbering by which Kafka recognises repetitions, and would
    make it refuse all that follows; so a failure retires the producer, and a new one numbers anew.
    """

    def __init__(self, link: KafkaLink) -> None:
        self._link = link
        self._producer = self._new_producer()
        self._has_failed = False
        self._under_way = 0
        self._renewal = asyncio.Lock()

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(cls, link: KafkaLink) -> AsyncIterator[Self]:
        publisher = cls(link)
        try:
            async with link.answering():
                await publisher._producer.start()
            yield publisher
        finally:
            await publisher._retire(publisher._producer)

    async def publish(self, message: Message) -> Delivery:
        topic, key = message.topic(), message.key()
        value = message.encode()
        if len(value) > MAX_RECORD_BYTES:
            raise ValueError(f"{len(value)} bytes are more than a record's {MAX_RECORD_BYTES}")
        until = asyncio.get_running_loop().time() + self._link.delivery_timeout_s
        try:
            async with asyncio.timeout_at(until):
                sent = await (await self._working_producer()).send(
                    self._link.name(topic),
                    value,
                    key=None if key is None else key.encode(),
                    partition=await self._existing(topic, message.partition()),
                    headers=[(name, fact.encode()) for name, fact in message.headers().items()],
                )
        except (KafkaError, TimeoutError) as error:
            raise Unavailable(f"Kafka took no record for {topic}: {error!r}") from error
        self._under_way += 1
        sent.add_done_callback(self._note_end)
        return Delivery(sent, topic=topic, until=until)

    async def partitions(self, topic: str) -> int:
        """Waits for the topic to exist; the embedded broker makes it when asked."""
        name = self._link.name(topic)
        try:
            async with asyncio.timeout(self._link.delivery_timeout_s):
                return len(await self._producer.partitions_for(name))
        except (KafkaError, TimeoutError, OSError) as error:
            raise Unavailable(
                f"Kafka at {self._link.servers} has no topic {name}; `cato topics create` makes it"
            ) from error

    async def _existing(self, topic: str, partition: int | None) -> int | None:
        if partition is not None:
            known = await self._producer.partitions_for(self._link.name(topic))
            if partition not in known:
                raise ValueError(f"{topic} has {len(known)} partitions, and no {partition}")
        return partition

    async def _working_producer(self) -> AIOKafkaProducer:
        if self._has_failed:
            async with self._renewal:
                if self._has_failed:
                    await self._renew()
        return self._producer

    async def _renew(self) -> None:
        await self._retire(self._producer)
        self._producer = self._new_producer()
        self._has_failed = False
        try:
            await self._producer.start()
        except BaseException:
            self._has_failed = True
            raise

    def _note_end(self, sent: "asyncio.Future[Any]") -> None:
        self._under_way -= 1
        if not sent.cancelled() and sent.exception() is not None:
            self._has_failed = True

    async def _retire(self, producer: AIOKafkaProducer) -> None:
        """Give what is under way its time, then go; who is called away goes at once."""
        try:
            async with asyncio.timeout(self._link.delivery_timeout_s):
                await producer.stop()
        except TimeoutError:
            log.error("records were left undelivered", extra={"records": self._under_way})
        finally:
            await _let_go(producer)

    def _new_producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **self._link.arguments(),
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=_BATCH_BYTES,
            max_request_size=MAX_BATCH_BYTES,
            request_timeout_ms=round(self._link.delivery_timeout_s * 1000),
        )


async def _let_go(producer: AIOKafkaProducer) -> None:
    """What a stop that came to no end leaves at work; after one that did, nothing.

    The library has no word for it: its own way waits for every delivery.
    """
    await producer.client.close()
    if producer._sender is not None:
        await producer._sender.close()
    # Only now, for a sender that still works puts back in line what has failed.
    producer._message_accumulator.fail_all(ProducerClosed())
