"""Of a classified task the queue keeps the facts, and the body as bytes that it need not read."""

from shared.messages.catalogue import TaskClassified
from shared.scheduling.queue import Entry


def entry_of(classified: TaskClassified) -> Entry:
    body = classified.body.model_dump_json(exclude_none=True).encode()
    return Entry(task=classified.task, body=body)
