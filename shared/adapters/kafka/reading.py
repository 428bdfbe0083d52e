"""A reading goes on through broken connections, lost brokers and partitions that change hands."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from shared.adapters.handover import Handover, RawRecord, Withdrawn
from shared.adapters.kafka.connection import KafkaLink
from shared.adapters.kafka.progress import Progress
from shared.messages.bus import M, Position, Start, Subscription

log = logging.getLogger(__name__)

_BATCH_RECORDS = 500
_WAIT_MS = 60_000
_BEGIN_ANEW_AFTER_S = 1.0

Batch = Mapping[TopicPartition, Sequence[ConsumerRecord]]


class Turns(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Whose turn it is to read which partitions of a group; one reader's view of it."""

    def __init__(self) -> None:
        self.is_over = False
        self.handling = asyncio.Lock()
        self.progress: Progress | None = None

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Finish the batch and say how far it got, before others begin there."""
        self.is_over = True
        async with self.handling:
            if revoked and self.progress is not None:
                await self.progress.commit()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self.is_over = False


@dataclass(slots=True, kw_only=True)
class Reading(Generic[M]):
    """One subscription, read until cancelled; `partitions` are all those that it may read."""

    link: KafkaLink
    subscription: Subscription[M]
    partitions: Collection[int]
    handover: Handover[M]
    turns: Turns
    caught_up: Callable[[], None]
    _is_behind: bool = True
    # What lay there at the start and is not handled yet.
    _goal: dict[TopicPartition, int] = field(default_factory=dict)
    # Where reading goes on after a broken connection; the members of a group ask the group.
    _next: dict[TopicPartition, int] = field(default_factory=dict)

    async def run(self) -> None:
        while True:
            try:
                await self._read_while_connected()
            except KafkaError as error:
                log.warning("reading begins anew", extra={"why": repr(error)})
                await asyncio.sleep(_BEGIN_ANEW_AFTER_S)

    async def _read_while_connected(self) -> None:
        is_shared = self.subscription.group is not None and not self.subscription.partitions
        begins_at = self.subscription.start if is_shared else Start.EARLIEST
        group, prepare = self.subscription.group, self._join if is_shared else _as_it_is
        async with self.link.consumer(
            group,
            begins_at=begins_at,
            patience_s=self.subscription.patience_s,
            prepare=prepare,
        ) as consumer:
            progress = self.turns.progress = Progress(consumer=consumer)
            if is_shared:
                ends = await consumer.end_offsets(list(consumer.assignment()))
            else:
                ends = await self._assign(consumer)
            self._goal = self._goal or ends
            async with _accompanied_by(progress.commit_now_and_then()):
                try:
                    await self._read(consumer, progress)
                finally:
                    await progress.commit()

    def _join(self, consumer: AIOKafkaConsumer) -> None:
        """Before its start, so that starting waits for this member's share, or says why not."""
        self.turns.progress = None
        consumer.subscribe([self.link.name(self.subscription.topic)], listener=self.turns)

    async def _assign(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, int]:
        """Begin where this reader stopped, else where its group did, else where it wants to."""
        topic = self.link.name(self.subscription.topic)
        mine = [TopicPartition(topic, partition) for partition in self.partitions]
        # Asked before the first fetch, which would keep the connection to itself for its wait.
        ends: dict[TopicPartition, int] = await consumer.end_offsets(mine)
        is_late = self.subscription.start is Start.LATEST
        self._next = {
            **(ends if is_late else await consumer.beginning_offsets(mine)),
            **await committed(consumer, mine if self.subscription.group else ()),
            **self._next,
        }
        consumer.assign(mine)
        # Nothing may be awaited between these, or the fetcher would begin elsewhere.
        for partition, offset in self._next.items():
            consumer.seek(partition, offset)
        return ends

    async def _read(self, consumer: AIOKafkaConsumer, progress: Progress) -> None:
        while True:
            await self._note_whether_behind(consumer)
            # All partitions at once: one that keeps unread records stops the fetches of its node.
            batch = await consumer.getmany(timeout_ms=_WAIT_MS, max_records=_BATCH_RECORDS)
            if batch:
                async with self.turns.handling:
                    await self._hand_over(batch, progress)

    async def _hand_over(self, batch: Batch, progress: Progress) -> None:
        topic = self.subscription.topic
        found = [raw_record(topic, record) for records in batch.values() for record in records]
        try:
            await self.handover.offer(found)
        except Withdrawn:
            return
        handled = {partition: records[-1].offset + 1 for partition, records in batch.items()}
        self._next |= handled
        if self.subscription.group is not None:
            progress.note(handled)

    async def _note_whether_behind(self, consumer: AIOKafkaConsumer) -> None:
        if not self._is_behind:
            return
        self._goal = {
            partition: end
            for partition, end in self._goal.items()
            if partition in consumer.assignment() and await consumer.position(partition) < end
        }
        if not self._goal:
            self._is_behind = False
            self.caught_up()


def _as_it_is(_: AIOKafkaConsumer) -> None:
    """What named partitions need can only be asked after the start."""


def raw_record(topic: str, record: ConsumerRecord) -> RawRecord:
    """`topic` is the house's own name for it, without the prefix."""
    return RawRecord(
        Position(topic, record.partition, record.offset),
        record.value or b"",
        {name: value.decode(errors="replace") for name, value in record.headers},
    )


async def committed(
    consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, int]:
    """Next offsets, where the consumer's group committed one."""
    offsets = await asyncio.gather(*map(consumer.committed, partitions))
    found = zip(partitions, offsets, strict=True)
    return {partition: offset for partition, offset in found if offset is not None}


@contextlib.asynccontextmanager
async def _accompanied_by(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """The work goes on beside the block, and no longer."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
