"""Dead letters say what could not be handled and why; what a client wrote stays in Kafka."""

import re
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Final

from shared.messages.bus import Bus, Subscription
from shared.messages.pool import DeadLettered
from shared.telemetry.tracing import trace_id_of

# Validation errors quote what they could not read.
_QUOTED: Final = re.compile(r"input_value=.*?(?=, input_type=|\]|$)", re.DOTALL)
_LONGEST_REASON: Final = 160
_ROW: Final = "{:<20} {:<32} {:<38} {:<34} {}"


async def dead_letter_lines(bus: Bus) -> AsyncGenerator[str, None]:
    """A table, oldest first, read up to the present end of the topic."""
    subscription = Subscription(message=DeadLettered, topic=DeadLettered.base_topic)
    count = 0
    async for record in bus.replay(subscription):
        if count == 0:
            yield _ROW.format("at (UTC)", "record", "task", "trace", "reason")
        count += 1
        yield _line(record.message)
    yield f"{count} dead letters" if count else "no dead letters"


def _line(letter: DeadLettered) -> str:
    at = datetime.fromtimestamp(letter.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    where = f"{letter.source_topic}[{letter.source_partition}]@{letter.source_offset}"
    trace_id = trace_id_of(letter.traceparent)
    return _ROW.format(at, where, letter.task_id or "-", trace_id or "-", _reason(letter.reason))


def _reason(reason: str) -> str:
    told = " ".join(_QUOTED.sub("input_value=…", reason).split())
    return told if len(told) <= _LONGEST_REASON else f"{told[: _LONGEST_REASON - 1]}…"
