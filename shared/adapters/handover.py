"""Between a broker and a service stands patience: what is refused is offered again, or buried."""

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

from pydantic import ValidationError

from shared.domain.clock import Clock
from shared.domain.errors import Deposed, Unavailable
from shared.domain.task import TaskId
from shared.messages.bus import Bus, M, Position, Record
from shared.messages.message import Message
from shared.messages.pool import DeadLettered

log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 5.0
# Base64 adds a third, and the letter must itself fit into a record.
_BURIED_BYTES = 1024 * 1024
_REASON_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record as the broker holds it."""

    position: Position
    value: bytes
    headers: Mapping[str, str]


class Withdrawn(Exception):
    """The batch belongs to another reader now; it was not handled, and must not be committed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetters:
    """Where records go that nobody could read or handle."""

    bus: Bus
    clock: Clock

    async def readable(self, message: type[M], found: Sequence[RawRecord]) -> list[Record[M]]:
        """What parses, in order; the rest is buried."""
        records: list[Record[M]] = []
        for raw in found:
            try:
                parsed = message.decode(raw.value)
            except ValidationError as error:
                await self.bury(raw, reason=f"unreadable: {_said(error)}")
            else:
                records.append(Record(message=parsed, position=raw.position, headers=raw.headers))
        return records

    async def bury(self, raw: RawRecord, *, reason: str, task_id: TaskId | None = None) -> None:
        """Return when the letter is acknowledged."""
        log.error("record is buried", extra={"position": raw.position, "reason": reason})
        letter = DeadLettered(
            source_topic=raw.position.topic,
            source_partition=raw.position.partition,
            source_offset=raw.position.offset,
            reason=reason[:_REASON_CHARACTERS],
            at=self.clock.now(),
            task_id=task_id,
            traceparent=raw.headers.get("traceparent"),
            value_base64=base64.b64encode(raw.value[:_BURIED_BYTES]).decode(),
        )
        if raw.position.topic == letter.topic():
            return  # Otherwise one unreadable letter would beget letters for ever.
        for pause_s in growing_pauses():
            try:
                await (await self.bus.publish(letter))
            except Unavailable as error:
                log.warning("letter is sent again", extra={"why": str(error), "in_s": pause_s})
                await asyncio.sleep(pause_s)
            else:
                return


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover(Generic[M]):
    """Gives records to `handle` until it takes them, or until they are in dead.letters.

    `is_withdrawn` is asked between attempts, so that a reader that lost its partitions lets go.
    """

    message: type[M]
    handle: Callable[[Sequence[Record[M]]], Awaitable[None]]
    letters: DeadLetters
    is_withdrawn: Callable[[], bool] = lambda: False

    async def offer(self, found: Sequence[RawRecord]) -> None:
        """Return when every record was handled or buried. Raises Withdrawn."""
        records = await self.letters.readable(self.message, found)
        if records:
            await self._hand_over(records, found)

    async def _hand_over(self, records: Sequence[Record[M]], found: Sequence[RawRecord]) -> None:
        for pause_s in growing_pauses():
            if self.is_withdrawn():
                raise Withdrawn
            try:
                return await self.handle(records)
            except Unavailable as error:
                log.warning("batch is offered again", extra={"why": str(error), "in_s": pause_s})
            except Deposed:
                raise  # Nothing is wrong with the records: a newer reader will handle them.
            except Exception as error:
                log.exception("batch was not handled", extra={"records": len(records)})
                return await self._each_alone(records, found, error)
            await asyncio.sleep(pause_s)

    async def _each_alone(
        self, records: Sequence[Record[M]], found: Sequence[RawRecord], error: Exception
    ) -> None:
        if len(records) > 1:
            for record in records:
                await self._hand_over([record], found)
            return
        (record,) = records
        raw = next(raw for raw in found if raw.position == record.position)
        await self.letters.bury(raw, reason=_said(error), task_id=_task_id(record.message))


def growing_pauses() -> Iterator[float]:
    """Seconds to wait before each further attempt, without end."""
    pause_s = _FIRST_PAUSE_S
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _said(error: Exception) -> str:
    """What was wrong, without the values: they may be what a client wrote."""
    if not isinstance(error, ValidationError):
        return f"{type(error).__name__}: {error}"
    wrong = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in wrong)


def _task_id(message: Message) -> TaskId | None:
    """Most messages are about one task; they name it directly or carry it whole."""
    about = getattr(message, "task", message)
    task_id: TaskId | None = getattr(about, "task_id", None) or getattr(about, "id", None)
    return task_id
