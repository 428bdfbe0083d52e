"""A dead letter holds the record as it came; what can be read of it says whose task it was."""

import base64
import binascii
from collections.abc import Mapping
from contextlib import aclosing
from typing import Final

from pydantic import ValidationError

from shared.domain.task import LatencyClass, Prediction, Promise, Task
from shared.messages.bus import Bus, Subscription
from shared.messages.catalogue import TaskClassified, TaskSubmitted
from shared.messages.pool import DeadLettered

_UNKNOWN_KIND = "unknown"

_Accepted = TaskSubmitted | TaskClassified
_TOPICS: Final[Mapping[str, type[_Accepted]]] = {
    TaskSubmitted.base_topic: TaskSubmitted,
    **dict.fromkeys(map(TaskClassified.topic_of, LatencyClass), TaskClassified),
}


async def task_of_letter(letter: DeadLettered, bus: Bus) -> Task | None:
    """None where the letter is not about a task that was accepted and cannot go on."""
    message = _TOPICS.get(letter.source_topic)
    if message is None or letter.task_id is None or not letter.value_base64:
        return None
    # A letter has no room for the end of a long record, which still lies where it was found.
    accepted = _enclosed(letter, message) or await _lying_there(letter, message, bus)
    match accepted:
        case TaskSubmitted():
            return _unclassified(accepted)
        case TaskClassified(task=task):
            return task
        case None:
            return None


def _enclosed(letter: DeadLettered, message: type[_Accepted]) -> _Accepted | None:
    try:
        return message.decode(base64.b64decode(letter.value_base64, validate=True))
    except (ValidationError, binascii.Error):
        return None


async def _lying_there(
    letter: DeadLettered, message: type[_Accepted], bus: Bus
) -> _Accepted | None:
    partition, offset = letter.source_partition, letter.source_offset
    subscription = Subscription(
        message=message, topic=letter.source_topic, partitions=frozenset({partition})
    )
    async with aclosing(bus.replay(subscription, since={partition: offset})) as lying:
        async for record in lying:
            return record.message if record.position.offset == offset else None
    return None


def _unclassified(submitted: TaskSubmitted) -> Task:
    return Task(
        id=submitted.task_id,
        kind=submitted.kind or _UNKNOWN_KIND,
        latency_class=LatencyClass.BATCH,
        model=submitted.model,
        tenant=submitted.tenant,
        received_at=submitted.received_at,
        promise=Promise(),
        prediction=Prediction(prompt_tokens=0, output_tokens_p50=0, output_tokens_p90=0),
        reply_to=submitted.reply_to,
        session=submitted.session,
        traceparent=submitted.traceparent,
    )
