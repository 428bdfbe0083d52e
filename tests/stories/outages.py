"""What a story lets fail: Kafka for some messages, Redis in the middle of an act, the clock."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

from shared.adapters.clock import LoopClock
from shared.adapters.memory_bus import MemoryBus
from shared.adapters.memory_event_log import MemoryEventLog
from shared.adapters.memory_queue import MemoryDeadlineQueue, MemoryStore
from shared.domain.clock import Clock
from shared.domain.errors import Unavailable
from shared.domain.fence import Fence
from shared.domain.task import Task, TaskId
from shared.messages.bus import M, Position, Record, Subscription
from shared.messages.message import Message
from shared.scheduling.queue import Entry, Put

T = TypeVar("T")


class LeapingClock(LoopClock):
    """Somebody sets it, or the machine slept."""

    leapt_s = 0.0

    def now(self) -> float:
        return super().now() + self.leapt_s


class OutageBus(MemoryBus):
    """Takes no message of the kind that is `away`; readers of some kinds are slow to connect, and
    committed offsets slow to be told. `replayed` is from where each topic was read lastly."""

    away: type[Message] | None = None
    connects_after_s: Mapping[type[Message], float] = MappingProxyType({})
    offsets_after_s = 0.0

    def __init__(self, *, clock: Clock) -> None:
        super().__init__(clock=clock)
        self.replayed: dict[str, Mapping[int, int]] = {}

    async def consume(
        self,
        subscription: Subscription[M],
        handle: Callable[[Sequence[Record[M]]], Awaitable[None]],
        *,
        caught_up: Callable[[], None] = lambda: None,
    ) -> None:
        await asyncio.sleep(self.connects_after_s.get(subscription.message, 0.0))
        await super().consume(subscription, handle, caught_up=caught_up)

    def replay(
        self, subscription: Subscription[M], *, since: Mapping[int, int] | None = None
    ) -> AsyncGenerator[Record[M], None]:
        self.replayed[subscription.topic] = since or {}
        return super().replay(subscription, since=since)

    async def committed(self, topic: str, group: str) -> Mapping[int, int]:
        await asyncio.sleep(self.offsets_after_s)
        return await super().committed(topic, group)

    async def publish(self, message: Message) -> Awaitable[Position]:
        if self.away is not None and isinstance(message, self.away):
            raise Unavailable("no broker takes it")
        return await super().publish(message)


@dataclass(slots=True)
class Outage:
    """How many of the next acts of a name Redis does not take, and how long its answers travel."""

    fails: Counter[str] = field(default_factory=Counter)
    answers_after_s: float = 0.0
    settled: list[TaskId] = field(default_factory=list)

    async def answer(self, answer: T) -> T:
        if self.answers_after_s:
            await asyncio.sleep(self.answers_after_s)
        return answer

    def strike(self, act: str) -> None:
        if self.fails[act] > 0:
            self.fails[act] -= 1
            raise Unavailable("Redis is away")


class OutageLog(MemoryEventLog):
    """While it `is_away` it writes, and nobody hears of it."""

    is_away = False
    leaves_when_opened = False

    async def tenant_of(self, task_id: str) -> str | None:
        self._strike()
        return await super().tenant_of(task_id)

    async def open(self, task_id: str, tenant: str, facts: str) -> None:
        await super().open(task_id, tenant, facts)
        self._strike()
        self.is_away = self.leaves_when_opened

    async def append(self, task_id: str, event: str, number: int) -> bool:
        is_there = await super().append(task_id, event, number)
        self._strike()
        return is_there

    async def close(self, task_id: str, last: str = "") -> None:
        await super().close(task_id, last)
        self._strike()

    async def read(self, task_id: str, after: str | None) -> AsyncIterator[tuple[str, str]]:
        async for event in super().read(task_id, after):
            self._strike()
            yield event

    def _strike(self) -> None:
        if self.is_away:
            raise Unavailable("Redis is away")


class OutageQueue(MemoryDeadlineQueue):
    """A queue over a store that is away now and then."""

    def __init__(self, clock: Clock, store: MemoryStore, outage: Outage) -> None:
        super().__init__(clock, store)
        self._outage = outage

    async def put(self, entries: Sequence[Entry]) -> Sequence[Put]:
        return await self._outage.answer(await super().put(entries))

    async def requeue(self, task: Task, fence: Fence) -> bool:
        self._outage.strike("requeue")
        return await super().requeue(task, fence)

    async def keep(self, step: Task, fence: Fence, answer: bytes) -> Mapping[TaskId, bytes] | None:
        self._outage.strike("keep")
        return await self._outage.answer(await super().keep(step, fence, answer))

    async def settle(
        self, task_id: TaskId, fence: Fence | None, ending: bytes, steps: Sequence[TaskId] = ()
    ) -> bool:
        self._outage.strike("settle")
        self._outage.settled.append(task_id)
        return await self._outage.answer(await super().settle(task_id, fence, ending, steps))
