"""A task is one request for coding help, together with the promise made about it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NewType

TaskId = NewType("TaskId", str)

# A task without a deadline is ordered as if it had this one, so that it is never last for ever.
PATIENCE_S: Final = 600.0

# Source code in the vocabularies of present code models; text in Chinese is close to it in bytes.
BYTES_PER_TOKEN = 3.3


class LatencyClass(StrEnum):
    """What kind of promise a task carries."""

    TTFT = "ttft"
    E2E = "e2e"
    BATCH = "batch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """Seconds from receipt; None promises nothing. `tpot_s` paces every token after the first."""

    ttft_s: float | None = None
    tpot_s: float | None = None
    e2e_s: float | None = None

    def latency_class(self) -> LatencyClass:
        if self.ttft_s is not None:
            return LatencyClass.TTFT
        return LatencyClass.BATCH if self.e2e_s is None else LatencyClass.E2E

    def with_limits_of(self, own: "Promise | None") -> "Promise":
        """The client's word replaces a limit of the same dimension, or adds one."""
        if own is None:
            return self
        return Promise(
            ttft_s=self.ttft_s if own.ttft_s is None else own.ttft_s,
            tpot_s=self.tpot_s if own.tpot_s is None else own.tpot_s,
            e2e_s=self.e2e_s if own.e2e_s is None else own.e2e_s,
        )

    def is_kept(self, *, ttft_s: float, e2e_s: float, output_tokens: int) -> bool:
        """Was everything in time, judged on first and last token?"""
        paced_s = None
        if self.ttft_s is not None and self.tpot_s is not None:
            paced_s = self.ttft_s + self.tpot_s * max(0, output_tokens - 1)
        limits = ((self.ttft_s, ttft_s), (self.e2e_s, e2e_s), (paced_s, e2e_s))
        return all(limit_s is None or took_s <= limit_s for limit_s, took_s in limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a task is expected to cost, in tokens; the p90 bounds nine answers of ten."""

    prompt_tokens: int
    output_tokens_p50: int
    output_tokens_p90: int


@dataclass(frozen=True, slots=True)
class ReplyAddress:
    """The reply partition of the ingress that holds the client, and which life of that ingress."""

    partition: int
    incarnation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Which part of which chain a task is; `chain` is the task that was accepted.

    A stage has one branch, or several that run side by side.
    """

    chain: TaskId
    stage: int
    branch: int = 0

    def __str__(self) -> str:
        return f"{self.stage}.{self.branch}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The facts a scheduler decides on; the body travels beside them.

    `session` is already scoped by tenant. A `detached` task goes on when its client leaves.
    `useful_s` is how long after receipt the answer is still worth something. A chain has `stages`
    and is never run itself; each of its steps is a task that is received when it can begin.
    `beginnings` are numbers that it has in common with tasks whose prompts begin like its own.
    """

    id: TaskId
    kind: str
    latency_class: LatencyClass
    model: str
    tenant: str
    received_at: float
    promise: Promise
    useful_s: float | None = None
    prediction: Prediction
    reply_to: ReplyAddress
    session: str | None = None
    supersedes: bool = False
    detached: bool = False
    priority: int = 0
    attempts: int = 0
    traceparent: str | None = None
    stages: int = 0
    step: Step | None = None
    beginnings: tuple[int, ...] = ()

    @property
    def accepted_id(self) -> TaskId:
        """The id under which the client knows it: for a step that of its chain."""
        return self.id if self.step is None else self.step.chain

    @property
    def deadline_at(self) -> float:
        """When the promise breaks: the first token for `ttft`, the last one for `e2e`."""
        promised_s = self.promise.ttft_s if self.promise.ttft_s is not None else self.promise.e2e_s
        return self.received_at + (PATIENCE_S if promised_s is None else promised_s)
