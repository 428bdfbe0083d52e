"""Builders say only what matters to a test."""

from shared.domain.task import LatencyClass, Prediction, Promise, ReplyAddress, Task, TaskId
from shared.scheduling.backlog import Backlog
from shared.scheduling.cost import Cost
from shared.scheduling.policies import POLICIES
from shared.scheduling.policy import WorkerView
from shared.scheduling.step_time import EngineProfile, StepTime

REFERENCE = EngineProfile(
    name="reference",
    step_time=StepTime(base_s=0.006, prefill_s=1 / 25_000, decode_s=0.04e-3, kv_s=20e-9),
    chunk_tokens=2048,
    max_sequences=256,
    kv_capacity_tokens=400_000,
    context_tokens=16_384,
    source="the reference engine",
)
COST = Cost(profile=REFERENCE, company=8)
HERE = ReplyAddress(0, "ingress-1")


def a_task(  # noqa: PLR0913  a builder has one argument for everything a test may care about
    id: str = "task-1",
    *,
    kind: str = "completion",
    model: str = "cato-demo",
    received_at: float = 0.0,
    ttft_s: float | None = None,
    e2e_s: float | None = None,
    useful_s: float | None = None,
    prompt_tokens: int = 100,
    output_tokens: int = 10,
    session: str | None = None,
    priority: int = 0,
    detached: bool = False,
    reply_to: ReplyAddress = HERE,
) -> Task:
    promise = Promise(ttft_s=ttft_s, e2e_s=e2e_s)
    return Task(
        id=TaskId(id),
        kind=kind,
        latency_class=promise.latency_class(),
        model=model,
        tenant="local",
        received_at=received_at,
        promise=promise,
        useful_s=useful_s,
        prediction=Prediction(
            prompt_tokens=prompt_tokens,
            output_tokens_p50=output_tokens,
            output_tokens_p90=2 * output_tokens,
        ),
        reply_to=reply_to,
        session=session,
        supersedes=session is not None and kind == "completion",
        priority=priority,
        detached=detached,
    )


def a_backlog(*tasks: Task, policy: str = "edf") -> Backlog:
    backlog = Backlog(policy=POLICIES[policy](), cost=COST)
    for task in tasks:
        backlog.add(task)
    return backlog


def a_worker(name: str = "worker-1", *, slots: int = 1, held: int = 0) -> WorkerView:
    return WorkerView(name=name, to_partition=0, slots=slots, held=held)


__all__ = ["COST", "HERE", "REFERENCE", "LatencyClass", "a_backlog", "a_task", "a_worker"]
