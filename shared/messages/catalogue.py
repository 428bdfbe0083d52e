"""Every message of the house, in the order in which one task meets them."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from shared.domain.fence import Fence
from shared.domain.outcome import Attempt, DropReason, FinishReason, Outcome
from shared.domain.task import LatencyClass, Promise, ReplyAddress, Task, TaskId
from shared.messages.body import Body
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
    """scheduler -> worker, on the partition the worker leases: your turn."""

    base_topic: ClassVar[str] = "tasks.dispatched"

    task: Task
    body: Body
    fence: Fence
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
    `finish_reason` and `usage`. `produced_at` is when it left the worker.
    """

    base_topic: ClassVar[str] = "tokens"

    task_id: TaskId
    fence: Fence
    worker: str
    reply_to: ReplyAddress
    sequence: int
    text: str = ""
    tokens: int = 0
    delta: str | None = None
    queued_s: float | None = None
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    synthetic: bool = False
    kind: str | None = None
    latency_class: LatencyClass | None = None
    produced_at: float | None = None

    def partition(self) -> int:
        return self.reply_to.partition


class AttemptEnded(Message):
    """worker -> scheduler: one start on one worker is over, with what it took.

    Instants are epoch seconds; `engine_s` is time inside the engine.
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

    def key(self) -> str:
        return self.task_id


class RunningTask(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    task_id: TaskId
    fence: Fence
    streamed: bool


class EngineLoad(BaseModel):
    """What an engine holds now; `step_s` is a moving average of its recent steps."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    running: int = 0
    waiting: int = 0
    prefill_tokens: int = 0
    kv_tokens: int = 0
    step_s: float = 0.0


class WorkerReported(Message):
    """worker -> scheduler, every 100 ms and on change: I live, this is what I hold.

    Renews the leases of what it lists. `partition` is None until the worker was admitted.
    """

    base_topic: ClassVar[str] = "workers.reported"

    worker: str
    incarnation: str
    model: str
    at: float
    to_partition: int | None = None
    slots: int
    profile: str
    tasks: tuple[RunningTask, ...] = ()
    load: EngineLoad = EngineLoad()
    draining: bool = False

    def key(self) -> str:
        return self.worker


class WorkerAdmitted(Message):
    """scheduler -> every worker: this incarnation leases that dispatch partition."""

    base_topic: ClassVar[str] = "workers.admitted"

    worker: str
    incarnation: str
    to_partition: int

    def key(self) -> str:
        return self.worker


class TaskCancelled(Message):
    """ingress -> scheduler: the client no longer wants it."""

    base_topic: ClassVar[str] = "tasks.cancelled"

    task_id: TaskId
    at: float

    def key(self) -> str:
        return self.task_id


class TaskEnded(Message):
    """scheduler -> ingress: exactly one for every accepted task; the topic is compacted by task.

    It lies on the reply partition, so that an ingress reads only what concerns its own clients.
    `retry_after_s` is the honest wait where the task was given up under load. `is_refused`: the
    engine will never take such a request, so the failure is the client's to mend.
    """

    base_topic: ClassVar[str] = "tasks.ended"

    task_id: TaskId
    kind: str
    latency_class: LatencyClass
    tenant: str
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

    def key(self) -> str:
        return self.task_id

    def partition(self) -> int:
        return self.reply_to.partition


class ClassBacklog(BaseModel):
    """`wait_s`: predicted wait of a newcomer of this class; `work_s`: queued work, GPU-seconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    queued: int = 0
    wait_s: float = 0.0
    work_s: float = 0.0


class BacklogReported(Message):
    """scheduler -> every ingress, every 100 ms: how long a newcomer would wait."""

    base_topic: ClassVar[str] = "backlog.reported"

    model: str
    epoch: int
    at: float
    workers: int
    slots: int
    queued_bytes: int
    is_full: bool
    classes: dict[LatencyClass, ClassBacklog]

    def key(self) -> str:
        return self.model


class LeaderElected(Message):
    """scheduler -> schedulers: the offset of this record is the epoch of the new leader."""

    base_topic: ClassVar[str] = "leaders.elected"

    model: str
    leader: str
    at: float

    def partition(self) -> int:
        return 0


class DeadLettered(Message):
    """any service: a record that nobody could read, or a task redelivered too often."""

    base_topic: ClassVar[str] = "dead.letters"

    source_topic: str
    source_partition: int
    source_offset: int
    reason: str
    at: float
    task_id: TaskId | None = None
    traceparent: str | None = None
    value_base64: str = ""


def task_headers(task: Task) -> dict[str, str]:
    traced = {"traceparent": task.traceparent} if task.traceparent else {}
    return {"deadline": f"{task.deadline_at:.6f}", **traced}
