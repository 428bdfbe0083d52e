"""A dead letter holds the record as it came; what can be read of it says whose task it was."""

import base64
import binascii

from pydantic import ValidationError

from shared.domain.task import LatencyClass, Prediction, Promise, Task
from shared.messages.catalogue import TaskClassified, TaskSubmitted
from shared.messages.pool import DeadLettered

_UNKNOWN_KIND = "unknown"


def task_of_letter(letter: DeadLettered) -> Task | None:
    """None where the letter is not about a task that was accepted and cannot go on."""
    if letter.task_id is None or not letter.value_base64:
        return None
    try:
        value = base64.b64decode(letter.value_base64, validate=True)
        if letter.source_topic == TaskSubmitted.base_topic:
            return _unclassified(TaskSubmitted.decode(value))
        if letter.source_topic in map(TaskClassified.topic_of, LatencyClass):
            return TaskClassified.decode(value).task
    except (ValidationError, binascii.Error):
        return None  # Cut off, or never one of ours.
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
