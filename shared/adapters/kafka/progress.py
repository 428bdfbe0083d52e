"""How far a group has got is told to Kafka a moment late, and never too early."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

log = logging.getLogger(__name__)

_COMMIT_AFTER_S = 0.9
_COMMIT_WITHIN_S = 3.0


@dataclass(slots=True, kw_only=True)
class Progress:
    """Next offsets of what one consumer of a group has handled."""

    consumer: AIOKafkaConsumer
    _uncommitted: dict[TopicPartition, int] = field(default_factory=dict)
    _has_grown: asyncio.Event = field(default_factory=asyncio.Event)
    _committing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def note(self, handled: Mapping[TopicPartition, int]) -> None:
        self._uncommitted |= handled
        self._has_grown.set()

    async def commit_now_and_then(self) -> None:
        while True:
            await self._has_grown.wait()
            await asyncio.sleep(_COMMIT_AFTER_S)
            await self.commit()

    async def commit(self) -> None:
        async with self._committing:
            self._has_grown.clear()
            offsets, self._uncommitted = self._uncommitted, {}
            try:
                async with asyncio.timeout(_COMMIT_WITHIN_S):
                    await self._tell(offsets)
            except (CommitFailedError, IllegalStateError):
                # Other members have these partitions now, and read them from the last commit.
                log.warning("offsets came too late", extra={"offsets": len(offsets)})
            except (KafkaError, TimeoutError) as error:
                log.warning("offsets are not committed yet", extra={"why": repr(error)})
                self.note({**offsets, **self._uncommitted})

    async def _tell(self, offsets: Mapping[TopicPartition, int]) -> None:
        if offsets:
            await self.consumer.commit(dict(offsets))
