"""Messages within one process, in the order in which they happened and at no cost in time."""

import asyncio
import zlib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic

from shared.adapters.clock import LoopClock
from shared.adapters.handover import DeadLetters, Handover, RawRecord
from shared.domain.clock import Clock
from shared.messages.bus import M, Position, Record, Start, Subscription
from shared.messages.message import Message
from shared.messages.topics import MAX_RECORD_BYTES

_BATCH_RECORDS = 500


@dataclass(slots=True)
class _Group:
    """Members of a group, in the order in which they came, and how far it has got."""

    committed: dict[int, int] = field(default_factory=dict)
    # Where reading begins in partitions without a commit, as the first member found them.
    origin: dict[int, int] = field(default_factory=dict)
    members: list[object] = field(default_factory=list)
    # Partitions whose records a member handles now; whoever inherits them waits for it.
    held: set[int] = field(default_factory=set)


class MemoryBus:
    """Records lie encoded, so that what cannot be written or read fails here as on Kafka."""

    def __init__(self, *, partitions: int = 4, clock: Clock | None = None) -> None:
        self.published: list[Message] = []
        self._width = partitions
        self._clock = clock or LoopClock()
        self._letters = DeadLetters(bus=self, clock=self._clock)
        self._written_at: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
        self._logs: defaultdict[str, list[list[RawRecord]]] = defaultdict(
            lambda: [[] for _ in range(self._width)]
        )
        self._groups: defaultdict[tuple[str, str], _Group] = defaultdict(_Group)
        self._arrivals: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    async def publish(self, message: Message) -> Awaitable[Position]:
        value = message.encode()
        if len(value) > MAX_RECORD_BYTES:
            raise ValueError(f"{len(value)} bytes are more than a record's {MAX_RECORD_BYTES}")
        partition = self._partition_of(message)
        log = self._logs[message.topic()][partition]
        position = Position(message.topic(), partition, len(log))
        log.append(RawRecord(position, value, message.headers()))
        self._written_at[message.topic(), partition].append(self._clock.now())
        self.published.append(message)
        self._wake_readers(message.topic())
        delivered: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        delivered.set_result(position)
        return delivered

    async def consume(
        self,
        subscription: Subscription[M],
        handle: Callable[[Sequence[Record[M]]], Awaitable[None]],
        *,
        caught_up: Callable[[], None] = lambda: None,
    ) -> None:
        handover = Handover(message=subscription.message, handle=handle, letters=self._letters)
        logs = self._logs[subscription.topic]
        reader = _Reader(
            subscription=subscription,
            logs=logs,
            group=self._group_of(subscription),
            ends={partition: len(log) for partition, log in enumerate(logs)},
        )
        reader.join()
        arrivals = self._arrivals[subscription.topic]
        arrivals.add(reader.woken)
        try:
            await self._read(reader, handover, caught_up)
        finally:
            arrivals.discard(reader.woken)
            reader.leave()
            # Those who stay inherit its partitions.
            self._wake_readers(subscription.topic)

    async def replay(
        self, subscription: Subscription[M], *, since: Mapping[int, int] | None = None
    ) -> AsyncGenerator[Record[M], None]:
        logs = self._logs[subscription.topic]
        wanted = subscription.partitions or range(len(logs))
        present = [raw for p in sorted(wanted) for raw in logs[p][(since or {}).get(p, 0) :]]
        for record in await self._letters.readable(subscription.message, present):
            yield record

    async def offsets_since(self, topic: str, at: float) -> Mapping[int, int]:
        found = ((p, self._written_at[topic, p]) for p in range(len(self._logs[topic])))
        return {partition: bisect_left(instants, at) for partition, instants in found if instants}

    async def committed(self, topic: str, group: str) -> Mapping[int, int]:
        return dict(self._groups[topic, group].committed)

    async def commit(self, topic: str, group: str, offsets: Mapping[int, int]) -> None:
        self._groups[topic, group].committed.update(offsets)

    async def partitions(self, topic: str) -> int:
        return len(self._logs[topic])

    async def _read(
        self,
        reader: "_Reader[M]",
        handover: Handover[M],
        caught_up: Callable[[], None],
    ) -> None:
        is_behind = True
        while True:
            if is_behind and reader.has_caught_up():
                is_behind = False
                caught_up()
            reader.woken.clear()
            if batch := reader.take():
                try:
                    await handover.offer(batch)
                    reader.advance(batch)
                finally:
                    reader.release(batch)
                    self._wake_readers(reader.subscription.topic)
                await asyncio.sleep(0)  # Others live on this loop, too.
            else:
                await reader.woken.wait()

    def _group_of(self, subscription: Subscription[M]) -> _Group:
        if subscription.group is None:
            return _Group()
        return self._groups[subscription.topic, subscription.group]

    def _partition_of(self, message: Message) -> int:
        logs = self._logs[message.topic()]
        addressed, key = message.partition(), message.key()
        if addressed is not None:
            if not 0 <= addressed < len(logs):
                raise ValueError(f"{message.topic()} has no partition {addressed}")
            return addressed
        if key is not None:
            return zlib.crc32(key.encode()) % len(logs)
        return sum(map(len, logs)) % len(logs)

    def _wake_readers(self, topic: str) -> None:
        for woken in self._arrivals[topic]:
            woken.set()


@dataclass(slots=True, kw_only=True, eq=False)
class _Reader(Generic[M]):
    """One reading of one topic; a reader without a group is a group of its own."""

    subscription: Subscription[M]
    logs: Sequence[Sequence[RawRecord]]
    group: _Group
    ends: Mapping[int, int]
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def join(self) -> None:
        if not self.group.members:
            is_late = self.subscription.start is Start.LATEST
            self.group.origin = {p: end if is_late else 0 for p, end in self.ends.items()}
        if not self.subscription.partitions:
            self.group.members.append(self)

    def leave(self) -> None:
        if self in self.group.members:
            self.group.members.remove(self)

    def mine(self) -> Iterable[int]:
        """Members share by turns; who named partitions has just these."""
        if self.subscription.partitions:
            return sorted(self.subscription.partitions)
        turn = self.group.members.index(self)
        return range(turn, len(self.logs), len(self.group.members))

    def take(self) -> list[RawRecord]:
        """The next records of the partitions that nobody holds; now this reader holds them."""
        batch: list[RawRecord] = []
        for partition in self.mine():
            if partition not in self.group.held:
                start = self._next(partition)
                room = _BATCH_RECORDS - len(batch)
                batch += self.logs[partition][start : start + room]
        self.group.held |= _partitions(batch)
        return batch

    def advance(self, batch: Sequence[RawRecord]) -> None:
        for raw in batch:
            self.group.committed[raw.position.partition] = raw.position.offset + 1

    def release(self, batch: Sequence[RawRecord]) -> None:
        self.group.held -= _partitions(batch)

    def has_caught_up(self) -> bool:
        return all(self._next(partition) >= self.ends[partition] for partition in self.mine())

    def _next(self, partition: int) -> int:
        return self.group.committed.get(partition, self.group.origin[partition])


def _partitions(batch: Sequence[RawRecord]) -> set[int]:
    return {raw.position.partition for raw in batch}
