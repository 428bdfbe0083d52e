"""A worker is seated by the scheduler at a dispatch partition, and reads only what comes there."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from services.worker.roster import Identity
from shared.messages.bus import Bus, Record, Start, Subscription
from shared.messages.catalogue import TaskDispatched, TaskRevoked
from shared.messages.pool import WorkerAdmitted

# Seats change when workers or leaders do, and reading costs as much when nothing comes.
_SEATED_WITHIN_S: Final = 0.2

Dispatches = Callable[[Sequence[Record[TaskDispatched]]], Awaitable[None]]
Revocations = Callable[[Sequence[Record[TaskRevoked]]], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class Inbox:
    """`partition` is what we read and therefore report; `seats` are those we were given."""

    me: Identity
    bus: Bus
    roster_changed: asyncio.Event
    partition: int | None = None
    is_listening: asyncio.Event = field(default_factory=asyncio.Event)
    seats: asyncio.Queue[int] = field(default_factory=asyncio.Queue)

    async def keep_reading(self, dispatches: Dispatches, revocations: Revocations) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hear_admissions())
            group.create_task(self._follow(dispatches, revocations))

    async def admit(self, records: Sequence[Record[WorkerAdmitted]]) -> None:
        for record in records:
            admitted = record.message
            is_mine = (admitted.worker, admitted.incarnation) == (self.me.name, self.me.incarnation)
            if is_mine:
                self.seats.put_nowait(admitted.to_partition)

    async def _hear_admissions(self) -> None:
        await self.bus.consume(
            Subscription(
                message=WorkerAdmitted,
                topic=WorkerAdmitted.base_topic,
                start=Start.LATEST,
                patience_s=_SEATED_WITHIN_S,
            ),
            self.admit,
            caught_up=self.is_listening.set,
        )

    async def _follow(self, dispatches: Dispatches, revocations: Revocations) -> None:
        """Read where we are seated; a new leader may seat us elsewhere."""
        seat = await self.seats.get()
        while True:
            reading = asyncio.create_task(self._read(seat, dispatches, revocations))
            moving = asyncio.create_task(self._seat_other_than(seat))
            try:
                await asyncio.wait({reading, moving}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self.partition = None
                reading.cancel()
                moving.cancel()
            if reading.done():
                reading.result()
            await asyncio.gather(reading, return_exceptions=True)
            seat = moving.result()

    async def _seat_other_than(self, seat: int) -> int:
        while (given := await self.seats.get()) == seat:
            continue  # Told again, because our report had not been read yet.
        return given

    async def _read(self, partition: int, dispatches: Dispatches, revocations: Revocations) -> None:
        at = frozenset({partition})
        ready = _Both(lambda: self._seated(partition))
        async with asyncio.TaskGroup() as group:
            group.create_task(
                self.bus.consume(
                    Subscription(
                        message=TaskDispatched,
                        topic=TaskDispatched.base_topic,
                        partitions=at,
                        start=Start.LATEST,
                    ),
                    dispatches,
                    caught_up=ready.one,
                )
            )
            group.create_task(
                self.bus.consume(
                    Subscription(
                        message=TaskRevoked,
                        topic=TaskRevoked.base_topic,
                        partitions=at,
                        start=Start.LATEST,
                    ),
                    revocations,
                    caught_up=ready.one,
                )
            )

    def _seated(self, partition: int) -> None:
        """Only now is it safe to be sent work: nothing that comes can be missed."""
        self.partition = partition
        self.roster_changed.set()


@dataclass(slots=True)
class _Both:
    then: Callable[[], None]
    waiting_for: int = 2

    def one(self) -> None:
        self.waiting_for -= 1
        if self.waiting_for == 0:
            self.then()
