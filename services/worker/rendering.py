"""A task becomes a job when its kind's template has turned what the client wrote into a prompt."""

from services.worker.engine import EngineRefused, Job, JobId
from shared.messages.body import Body, ChatMessage
from shared.messages.catalogue import TaskDispatched
from shared.tasks import TASKS


def job_of(job_id: JobId, dispatched: TaskDispatched) -> Job:
    """Raises EngineRefused when this worker's catalogue does not know how to ask for it."""
    task = dispatched.task
    return Job(
        id=job_id,
        kind=task.kind,
        body=_rendered(task.kind, dispatched.body),
        prediction=task.prediction,
        cached_tokens=dispatched.cached_tokens,
        priority=task.priority,
        promise=task.promise,
        received_at=task.received_at,
    )


def _rendered(kind: str, body: Body) -> Body:
    if body.route != "tasks":
        return body
    if kind not in TASKS:
        known = ", ".join(TASKS)
        raise EngineRefused(
            f"this worker has no prompt for {kind!r}; known kinds: {known}",
            is_permanent=True,
            status=400,
        )
    turns = TASKS[kind].render(body.code, body.language, body.target_language, body.instruction)
    messages = tuple(ChatMessage(role=role, content=content) for role, content in turns)
    asked = {"route": "chat", "messages": messages, "code": None, "instruction": None}
    return body.model_copy(update=asked)
