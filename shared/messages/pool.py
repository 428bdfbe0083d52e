"""What services tell each other about the pool itself: who works, what waits, who leads."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from shared.domain.fence import Fence
from shared.domain.task import LatencyClass, TaskId
from shared.messages.message import Message


class RunningTask(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    task_id: TaskId
    fence: Fence
    streamed: bool


class FittedSteps(BaseModel):
    """An engine's step time as fitted to its own timings, in seconds; see the cost model.

    `error` is the typical relative error of a step foretold before it was done.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    base_s: float
    prefill_s: float
    attention_s: float
    decode_s: float
    kv_s: float
    error: float
    timings: int


class EngineLoad(BaseModel):
    """What an engine holds now; `step_s` is a moving average of its recent steps.

    `step_left_s` is how long the step under way still prefills, where the engine knows:
    `prefill_tokens` are those of later steps then. `fitted` is None where no step was timed yet.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    running: int = 0
    waiting: int = 0
    prefill_tokens: int = 0
    step_left_s: float = 0.0
    kv_tokens: int = 0
    step_s: float = 0.0
    fitted: FittedSteps | None = None


class WorkerReported(Message):
    """worker -> scheduler, every 100 ms and on change: I live, this is what I hold.

    Renews the leases of what it lists. `partition` is None until the worker was admitted.
    `residual_s`: how long it will still prefill what it lists. `context_tokens`: the longest that
    its engine takes, None where a server does not tell.
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
    residual_s: float = 0.0
    context_tokens: int | None = None
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


class ClassBacklog(BaseModel):
    """`wait_s`: predicted wait of a newcomer of this class; `work_s`: queued work, GPU-seconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    queued: int = 0
    wait_s: float = 0.0
    work_s: float = 0.0


class BacklogReported(Message):
    """scheduler -> every ingress and scaler, every 100 ms: how long a newcomer would wait.

    `needed`: how many workers would keep the promise. `context_tokens`: what no worker can take
    more of, None where nobody knows. `step_s`: how long an engine's step takes in usual company,
    and `prompt_token_s` how much longer for each token of a prompt in it.
    """

    base_topic: ClassVar[str] = "backlog.reported"

    model: str
    epoch: int
    at: float
    workers: int
    slots: int
    queued_bytes: int
    is_full: bool
    classes: dict[LatencyClass, ClassBacklog]
    needed: int | None = None
    context_tokens: int | None = None
    step_s: float = 0.0
    prompt_token_s: float = 0.0

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
