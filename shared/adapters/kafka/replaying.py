"""What lies on a topic now can be read once, from any point to the present end."""

import contextlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.adapters.handover import RawRecord
from shared.adapters.kafka.connection import KafkaLink
from shared.adapters.kafka.reading import raw_record
from shared.domain.errors import Unavailable


async def replayed(
    link: KafkaLink, topic: str, partitions: Collection[int], since: Mapping[int, int]
) -> AsyncIterator[Sequence[RawRecord]]:
    """Batches in order within each partition. Raises Unavailable when records stop coming."""
    wanted = [TopicPartition(link.name(topic), number) for number in partitions]
    async with contextlib.AsyncExitStack() as stack:
        async with link.answering():
            consumer = await stack.enter_async_context(link.consumer(None))
            ends = await consumer.end_offsets(wanted)
            begins = await consumer.beginning_offsets(wanted)
        consumer.assign(wanted)
        for partition, begin in begins.items():
            consumer.seek(partition, max(begin, since.get(partition.partition, begin)))
        while await _is_before(consumer, ends):
            yield await _next_batch(link, consumer, topic, ends)


async def offsets_since(
    link: KafkaLink, topic: str, partitions: Collection[int], at: float
) -> Mapping[int, int]:
    """The embedded broker finds no record by its time, not even the first of all."""
    wanted = [TopicPartition(link.name(topic), number) for number in partitions]
    async with link.answering(), link.consumer(None) as consumer:
        ends = await consumer.end_offsets(wanted)
        first = await consumer.offsets_for_times(dict.fromkeys(wanted, 0))
        since = await consumer.offsets_for_times(dict.fromkeys(wanted, round(at * 1000)))
    return {
        partition.partition: ends[partition]
        if since[partition] is None
        else since[partition].offset
        for partition in wanted
        if first[partition] is not None
    }


async def _is_before(consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> bool:
    for partition, end in ends.items():
        if await consumer.position(partition) < end:
            return True
    return False


async def _next_batch(
    link: KafkaLink, consumer: AIOKafkaConsumer, topic: str, ends: Mapping[TopicPartition, int]
) -> Sequence[RawRecord]:
    async with link.answering():
        batch = await consumer.getmany(timeout_ms=round(link.delivery_timeout_s * 1000))
    if not batch:
        raise Unavailable(f"{topic} ended before its end; Kafka at {link.servers} has gone silent")
    return [
        raw_record(topic, record)
        for partition, records in batch.items()
        for record in records
        if record.offset < ends[partition]
    ]
