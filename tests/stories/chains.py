"""Chains to tell stories about, as the classifier hands them to the scheduler."""

from dataclasses import replace

from shared.domain.chain import Stage
from shared.domain.task import Prediction, Task
from shared.messages.body import Body
from shared.messages.catalogue import TaskClassified, TaskDispatched, TaskEnded
from tests.builders import a_task
from tests.stories.scheduling import Pool, ScriptedWorker

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CODE = "def f(x): return x + 1"


def a_stage(
    name: str,
    prompt: str,
    *,
    kind: str = "summarization",
    over: tuple[str, ...] = (),
    unless_parses: str | None = None,
    output_tokens: int = 100,
    max_tokens: int = 500,
) -> Stage:
    return Stage(
        name=name,
        kind=kind,
        prompt=prompt,
        max_tokens=max_tokens,
        over=over,
        unless_parses=unless_parses,
        prediction=Prediction(
            prompt_tokens=100,
            output_tokens_p50=output_tokens,
            output_tokens_p90=2 * output_tokens,
        ),
    )


SUMMARY = a_stage("summary", "Sum up: {input}")
DRAFT = a_stage("draft", "To Python, knowing {summary}: {input}", output_tokens=700)
REPAIR = a_stage("repair", "Mend: {draft}", unless_parses="python", output_tokens=700)
PARTS = a_stage("parts", "Sum up {item}", over=("a.py", "b.py", "c.py"))
WHOLE = a_stage("whole", "All: {parts}")


def a_chain(pool: Pool, *, e2e_s: float = 20.0, useful_s: float | None = None) -> Task:
    return a_task(
        "chain",
        kind="translation",
        received_at=pool.clock.now(),
        e2e_s=e2e_s,
        useful_s=useful_s,
        detached=True,
    )


async def begin(
    pool: Pool,
    *stages: Stage,
    e2e_s: float = 20.0,
    useful_s: float | None = None,
    traced: bool = False,
) -> Task:
    chain = replace(
        a_chain(pool, e2e_s=e2e_s, useful_s=useful_s),
        stages=len(stages),
        traceparent=TRACE if traced else None,
    )
    body = Body(route="tasks", code=CODE, max_tokens=500, stages=stages)
    await pool.bus.publish(TaskClassified(task=chain, body=body))
    return chain


async def ended(pool: Pool, within_s: float = 2.0) -> TaskEnded:
    await pool.until(lambda: bool(pool.outcomes()), within_s=within_s, saying="the chain ends")
    (ending,) = pool.told(TaskEnded)
    return ending


async def taken(worker: ScriptedWorker, task_id: str, *, time: int) -> TaskDispatched:
    """Wait until a step comes to the worker for the first time, the second, …"""
    await worker.pool.until(
        lambda: sum(one.task.id == task_id for one in worker.mine()) >= time,
        within_s=8,
        saying=f"{task_id} comes for the {time}. time",
    )
    return await worker.take(task_id)
