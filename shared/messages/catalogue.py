"""Every message about a task, in the order in which the task meets them."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from shared.domain.fence import Fence
from shared.domain.outcome import Attempt, DropReason, FinishReason, Outcome
from shared.domain.task import LatencyClass, Promise, ReplyAddress, Step, Task, TaskId
from shared.messages.body import Body
from shared.messages.logprobs import TokenLogprob
from shared.messages.message import Message


class Usage(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0


class TaskSubmitted(Message):
    """ingress -> classifier: accepted as soon as Kafka acknowledged this record.

    `kind` and `promise` are the client's own, where it named them; the promise is clamped already.
    """

    base_topic: ClassVar[str] = "tasks.submitted"

    task_id: TaskId
    tenant: str
    model: str
    received_at: float
    reply_to: ReplyAddress
    body: Body
    kind: str | None = None
    promise: Promise | None = None
    session: str | None = None
    detached: bool = False
    priority: int = 0
    traceparent: str | None = None

    def key(self) -> str:
        return self.session or self.task_id

    def headers(self) -> dict[str, str]:
        return {"traceparent": self.traceparent} if self.traceparent else {}


class TaskClassified(Message):
    """classifier -> scheduler, on the topic of its latency class: what it is, what it will cost."""

    base_topic: ClassVar[str] = "tasks"

    task: Task
    body: Body

    @classmethod
    def topic_of(cls, latency_class: LatencyClass) -> str:
        return f"{cls.base_topic}.{latency_class}"

    def topic(self) -> str:
        return self.topic_of(self.task.latency_class)

    def key(self) -> str:
        return self.task.session or self.task.id

    def headers(self) -> dict[str, str]:
        return task_headers(self.task)


class TaskDispatched(Message):
    """scheduler -> worker, on the partition the worker leases: your turn.

    `dispatched_at` is when that was decided, however often it has to be said; of its prompt the
    engine is believed to have kept `cached_tokens`.
    """

    base_topic: ClassVar[str] = "tasks.dispatched"

    task: Task
    body: Body
    fence: Fence
    cached_tokens: int = 0
    worker: str
    to_partition: int
    dispatched_at: float
    lease_s: float

    def partition(self) -> int:
        return self.to_partition

    def headers(self) -> dict[str, str]:
        return {**task_headers(self.task), "fence": str(self.fence)}


class TaskRevoked(Message):
    """scheduler -> worker: stop this attempt, nobody wants it any more."""

    base_topic: ClassVar[str] = "tasks.revoked"

    task_id: TaskId
    fence: Fence
    worker: str
    to_partition: int

    def partition(self) -> int:
        return self.to_partition


class TokensProduced(Message):
    """worker -> ingress, on the reply partition of the client's ingress: a piece of the answer.

    `sequence` counts from 0 within one attempt. `delta` holds non-text parts as the engine sent
    them (tool calls). The first piece tells `kind` and `latency_class`, the last one carries
    `finish_reason` and `usage`. `produced_at` is when it left the worker. `logprobs` are there
    where the body asked for them. Of a chain `task_id` is the accepted task, and `step` says which
    part of it speaks.
    """

    base_topic: ClassVar[str] = "tokens"

    task_id: TaskId
    fence: Fence
    worker: str
    reply_to: ReplyAddress
    sequence: int
    text: str = ""
    tokens: int = 0
    logprobs: tuple[TokenLogprob, ...] | None = None
    delta: str | None = None
    queued_s: float | None = None
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    synthetic: bool = False
    kind: str | None = None
    latency_class: LatencyClass | None = None
    produced_at: float | None = None
    step: Step | None = None

    def partition(self) -> int:
        return self.reply_to.partition


class AttemptEnded(Message):
    """worker -> scheduler: one start on one worker is over, with what it took.

    Instants are epoch seconds; `engine_s` is time inside the engine. `output` is the whole text
    of a step of a chain, for the steps that follow it.
    """

    base_topic: ClassVar[str] = "attempts.ended"

    task_id: TaskId
    fence: Fence
    worker: str
    result: Attempt
    ended_at: float
    first_token_at: float | None = None
    last_token_at: float | None = None
    engine_s: float = 0.0
    usage: Usage | None = None
    finish_reason: FinishReason | None = None
    error: str | None = None
    output: str | None = None

    @property
    def cached_tokens(self) -> int | None:
        """Of its prompt, in the engine; None where that told of nothing."""
        return None if self.usage is None else self.usage.cached_tokens

    def key(self) -> str:
        return self.task_id


class TaskCancelled(Message):
    """ingress -> scheduler: the client no longer wants it.

    Without a `model` every pool has to remember it, in case that the task still comes.
    """

    base_topic: ClassVar[str] = "tasks.cancelled"

    task_id: TaskId
    at: float
    model: str | None = None

    def key(self) -> str:
        return self.task_id


class StepEnded(BaseModel):
    """One call that a chain was made of; `is_answer` where its text is (part of) the chain's."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    stage: int
    branch: int
    name: str
    kind: str
    fence: Fence
    usage: Usage | None = None
    is_answer: bool = False


class TaskEnded(Message):
    """scheduler -> ingress: exactly one for every accepted task; the topic is compacted by task.

    It lies on the reply partition, so that an ingress reads only what concerns its own clients.
    `retry_after_s` is the honest wait where the task was given up under load. `is_refused`: the
    engine will never take such a request, so the failure is the client's to mend. `steps` are the
    calls that an answered chain was made of, in order.
    """

    base_topic: ClassVar[str] = "tasks.ended"

    task_id: TaskId
    kind: str
    latency_class: LatencyClass
    tenant: str
    model: str = ""
    outcome: Outcome
    fence: Fence
    reply_to: ReplyAddress
    received_at: float
    ended_at: float
    ttft_s: float | None = None
    e2e_s: float | None = None
    attempts: int = 0
    usage: Usage | None = None
    finish_reason: FinishReason | None = None
    dropped: DropReason | None = None
    retry_after_s: float | None = None
    error: str | None = None
    is_refused: bool = False
    traceparent: str | None = None
    steps: tuple[StepEnded, ...] = ()

    def key(self) -> str:
        return self.task_id

    def partition(self) -> int:
        return self.reply_to.partition


def task_headers(task: Task) -> dict[str, str]:
    traced = {"traceparent": task.traceparent} if task.traceparent else {}
    return {"deadline": f"{task.deadline_at:.6f}", **traced}
