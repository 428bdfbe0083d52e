"""How far a group has got can be asked and told without reading a record."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.adapters.kafka.connection import KafkaLink
from shared.adapters.kafka.reading import committed


@dataclass(slots=True, kw_only=True)
class GroupOffsets:
    """Keeps one silent consumer for each group it was asked about, because connecting is slow."""

    link: KafkaLink
    stack: contextlib.AsyncExitStack
    _consumers: dict[tuple[str, str], AIOKafkaConsumer] = field(default_factory=dict)
    _connecting: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def committed(self, topic: str, group: str, partitions: int) -> Mapping[int, int]:
        async with self.link.answering():
            consumer = await self._consumer_of(topic, group, partitions)
            offsets = await committed(consumer, consumer.assignment())
        return {partition.partition: offset for partition, offset in offsets.items()}

    async def commit(
        self, topic: str, group: str, partitions: int, offsets: Mapping[int, int]
    ) -> None:
        name = self.link.name(topic)
        async with self.link.answering():
            consumer = await self._consumer_of(topic, group, partitions)
            await consumer.commit({TopicPartition(name, p): at for p, at in offsets.items()})

    async def _consumer_of(self, topic: str, group: str, partitions: int) -> AIOKafkaConsumer:
        async with self._connecting:
            if (topic, group) not in self._consumers:
                consumer = await self.stack.enter_async_context(self.link.consumer(group))
                name = self.link.name(topic)
                every = [TopicPartition(name, partition) for partition in range(partitions)]
                consumer.assign(every)
                # It commits for a partition only when assigned it, and is to read nothing.
                consumer.pause(*every)
                self._consumers[topic, group] = consumer
            return self._consumers[topic, group]
