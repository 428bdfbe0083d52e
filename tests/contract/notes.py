"""Notes to send over a bus, and readers of them: what its contract suites are told with."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import ClassVar

from shared.messages.bus import Bus, Record, Start, Subscription
from shared.messages.message import Message
from shared.messages.pool import DeadLettered
from tests.eventually import WITHIN_S


class Noted(Message):
    base_topic: ClassVar[str] = "notes"

    text: str
    of: str | None = None
    to_partition: int | None = None

    def key(self) -> str | None:
        return self.of

    def partition(self) -> int | None:
        return self.to_partition

    def headers(self) -> dict[str, str]:
        return {"traceparent": f"trace of {self.text}"}


class NotedTomorrow(Noted):
    colour: str = "blue"


class Scrawled(Message):
    """Nobody who expects notes can read it."""

    base_topic: ClassVar[str] = "notes"

    ink: int = 7

    def key(self) -> str:
        return "any"


NOTES = Subscription(message=Noted, topic="notes")
NOTES_OF_A_GROUP = Subscription(message=Noted, topic="notes", group="readers")
NEW_NOTES = Subscription(message=Noted, topic="notes", start=Start.LATEST)
LETTERS = Subscription(message=DeadLettered, topic="dead.letters")


class Reader:
    """Keeps what it was given; fails where `objection` says so."""

    def __init__(self, objection: Callable[[Sequence[str]], None] = lambda _: None) -> None:
        self.records: list[Record[Noted]] = []
        self.offered: list[list[str]] = []
        self.caught_up: list[int] = []
        self._objection = objection
        self._changed = asyncio.Event()

    async def handle(self, records: Sequence[Record[Noted]]) -> None:
        texts = [record.message.text for record in records]
        self.offered.append(texts)
        self._changed.set()
        self._objection(texts)
        self.records += records

    def has_caught_up(self) -> None:
        self.caught_up.append(len(self.records))
        self._changed.set()

    @property
    def texts(self) -> list[str]:
        return [record.message.text for record in self.records]

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not is_so():
                await self._changed.wait()
                self._changed.clear()
                # What the handler was given becomes its own only after it returned.
                await asyncio.sleep(0)

    async def has_read(self, count: int) -> None:
        await self.until(lambda: len(self.records) >= count)


@contextlib.asynccontextmanager
async def reading(
    bus: Bus, subscription: Subscription[Noted], reader: Reader
) -> AsyncIterator[Reader]:
    """Someone reads for as long as the block lasts, and has seen all that lay there before."""
    consuming = asyncio.create_task(
        bus.consume(subscription, reader.handle, caught_up=reader.has_caught_up)
    )
    try:
        yield reader
    finally:
        consuming.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await consuming


async def note(bus: Bus, *texts: str, of: str | None = "someone") -> None:
    for delivered in [await bus.publish(Noted(text=text, of=of)) for text in texts]:
        await delivered


async def letters(bus: Bus) -> list[DeadLettered]:
    return [record.message async for record in bus.replay(LETTERS)]


async def texts_from_the_beginning(bus: Bus, subscription: Subscription[Noted]) -> list[str]:
    return [record.message.text async for record in bus.replay(subscription)]
