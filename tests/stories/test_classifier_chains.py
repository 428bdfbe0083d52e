"""A chain is classified as one task: one promise, and a prediction for each of its stages."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from services.classifier.classifier import Classifier
from services.classifier.classifiers.words import Words
from shared.adapters.clock import LoopClock
from shared.adapters.memory_bus import MemoryBus
from shared.domain.fence import Fence
from shared.domain.outcome import Outcome
from shared.domain.task import LatencyClass, Promise, ReplyAddress, TaskId
from shared.messages.body import Body
from shared.messages.catalogue import (
    StepEnded,
    TaskClassified,
    TaskEnded,
    TaskSubmitted,
    Usage,
)
from shared.tasks import TASKS
from tests.stories.chains import PARTS, WHOLE

HERE = ReplyAddress(1, "ingress-1")
STAGES = tuple(replace(stage, prediction=None) for stage in (PARTS, WHOLE))


@pytest.fixture
async def bus() -> AsyncIterator[MemoryBus]:
    bus = MemoryBus()
    classifier = Classifier(bus=bus, judge=Words(), clock=LoopClock())
    async with asyncio.TaskGroup() as group:
        running = [
            group.create_task(classifier.serve()),
            group.create_task(classifier.listen()),
        ]
        await asyncio.sleep(0.1)
        yield bus
        for task in running:
            task.cancel()


async def classified(bus: MemoryBus, promise: Promise) -> TaskClassified:
    await bus.publish(
        TaskSubmitted(
            task_id=TaskId("chain"),
            tenant="local",
            model="cato-demo",
            received_at=0.0,
            reply_to=HERE,
            body=Body(route="tasks", code="x = 1", max_tokens=500, stages=STAGES),
            kind="generation",
            promise=promise,
            session="editor",
            detached=True,
        )
    )
    await asyncio.sleep(1)
    return [one for one in bus.published if isinstance(one, TaskClassified)][-1]


async def test_a_chain_keeps_its_one_promise_whatever_its_kind_is_usually_promised(
    bus: MemoryBus,
) -> None:
    chain = (await classified(bus, Promise(e2e_s=12))).task

    assert chain.promise == Promise(e2e_s=12)
    assert chain.latency_class is LatencyClass.E2E
    assert chain.useful_s == 120
    assert chain.stages == 2
    assert not chain.supersedes


async def test_a_chain_without_a_promise_is_batch_work(bus: MemoryBus) -> None:
    chain = (await classified(bus, Promise())).task

    assert chain.latency_class is LatencyClass.BATCH
    assert chain.useful_s is None


async def test_each_stage_is_predicted_from_what_the_stages_before_will_answer(
    bus: MemoryBus,
) -> None:
    parts, whole = (await classified(bus, Promise(e2e_s=12))).body.stages

    usual = TASKS["summarization"].prior.output_tokens_p50
    assert parts.prediction is not None
    assert whole.prediction is not None
    assert parts.prediction.output_tokens_p50 == pytest.approx(usual, rel=0.2)
    assert whole.prediction.prompt_tokens > 3 * parts.prediction.output_tokens_p50


async def test_the_lengths_of_steps_are_learned_by_their_own_kind(bus: MemoryBus) -> None:
    step = StepEnded(
        stage=0,
        branch=0,
        name="parts",
        kind="summarization",
        fence=Fence(1, 1),
        usage=Usage(prompt_tokens=40, completion_tokens=20),
    )
    for number in range(200):
        await bus.publish(
            TaskEnded(
                task_id=TaskId(f"chain-{number}"),
                kind="translation",
                latency_class=LatencyClass.E2E,
                tenant="local",
                model="cato-demo",
                outcome=Outcome.COMPLETED,
                fence=Fence(1, 1),
                reply_to=HERE,
                received_at=0.0,
                ended_at=1.0,
                usage=Usage(prompt_tokens=4000, completion_tokens=3000),
                steps=(step,),
            )
        )
    await asyncio.sleep(2)

    parts, _ = (await classified(bus, Promise(e2e_s=12))).body.stages
    assert parts.prediction is not None
    assert parts.prediction.output_tokens_p50 == pytest.approx(20, rel=0.2)
