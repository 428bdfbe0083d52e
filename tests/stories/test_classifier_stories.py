"""What happens between a task's acceptance and its place in a queue."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.classifier.classifier import Classifier
from services.classifier.classifiers.words import Words
from shared.adapters.clock import LoopClock
from shared.adapters.memory_bus import MemoryBus
from shared.domain.fence import Fence
from shared.domain.outcome import Outcome
from shared.domain.task import LatencyClass, Promise, ReplyAddress, TaskId
from shared.messages.body import Body, ChatMessage
from shared.messages.catalogue import TaskClassified, TaskEnded, TaskSubmitted, Usage
from shared.messages.pool import DeadLettered
from shared.telemetry import names
from shared.telemetry.tracing import Memory, keep_spans

SUMMARY = Body(
    route="chat",
    messages=(ChatMessage(role="user", content="Summarize this:\n\ndef f():\n    pass\n"),),
    max_tokens=500,
)
FIM = Body(route="completions", prompt="a = ", suffix="\n", max_tokens=64)


@pytest.fixture
async def bus() -> AsyncIterator[MemoryBus]:
    """A house with a running classifier and nothing else."""
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


def a_submission(
    id: str = "task-1",
    *,
    body: Body = FIM,
    model: str = "cato-demo",
    kind: str | None = None,
    promise: Promise | None = None,
    session: str | None = None,
    priority: int = 0,
    traceparent: str | None = None,
) -> TaskSubmitted:
    return TaskSubmitted(
        task_id=TaskId(id),
        tenant="local",
        model=model,
        received_at=0.0,
        reply_to=ReplyAddress(1, "ingress-1"),
        body=body,
        kind=kind,
        promise=promise,
        session=session,
        priority=priority,
        traceparent=traceparent,
    )


def an_ending(id: str, *, outcome: Outcome = Outcome.COMPLETED, tokens: int = 1) -> TaskEnded:
    return TaskEnded(
        task_id=TaskId(id),
        kind="completion",
        latency_class=LatencyClass.TTFT,
        tenant="local",
        model="cato-demo",
        outcome=outcome,
        fence=Fence(1, 1),
        reply_to=ReplyAddress(1, "ingress-1"),
        received_at=0.0,
        ended_at=1.0,
        usage=Usage(prompt_tokens=20, completion_tokens=tokens),
    )


async def classified(bus: MemoryBus, submitted: TaskSubmitted) -> TaskClassified:
    await bus.publish(submitted)
    await asyncio.sleep(0.1)
    last = bus.published[-1]
    assert isinstance(last, TaskClassified)
    return last


async def test_prompts_that_begin_alike_are_known_by_it(bus: MemoryBus) -> None:
    here, there = "a = 1\n" * 400, "b = 2\n" * 400
    for id, prompt in (("first", here), ("typed-on", here + "c = "), ("elsewhere", there)):
        await bus.publish(a_submission(id, body=FIM.model_copy(update={"prompt": prompt})))
    await asyncio.sleep(0.1)

    begun = {
        str(each.task.id): set(each.task.beginnings)
        for each in bus.published
        if isinstance(each, TaskClassified)
    }
    assert begun["first"] and begun["first"] <= begun["typed-on"]
    assert not begun["first"] & begun["elsewhere"]


async def test_a_completion_waits_in_the_line_of_first_tokens(bus: MemoryBus) -> None:
    message = await classified(bus, a_submission())

    assert message.topic() == "tasks.ttft"
    assert message.task.kind == "completion"
    assert message.task.promise == Promise(ttft_s=0.3)
    assert message.task.useful_s == 0.3
    assert message.body == FIM


async def test_a_summary_waits_in_the_line_of_whole_answers(bus: MemoryBus) -> None:
    message = await classified(bus, a_submission(body=SUMMARY))

    assert message.topic() == "tasks.e2e"
    assert message.task.kind == "summarization"
    assert message.task.useful_s == 15.0


async def test_the_kind_that_the_client_names_is_believed(bus: MemoryBus) -> None:
    message = await classified(bus, a_submission(body=SUMMARY, kind="batch", priority=9))

    assert message.topic() == "tasks.batch"
    assert message.task.useful_s is None
    assert message.task.priority == 9


async def test_a_promise_of_the_client_decides_the_line(bus: MemoryBus) -> None:
    message = await classified(bus, a_submission(body=SUMMARY, promise=Promise(ttft_s=0.5)))

    assert message.topic() == "tasks.ttft"
    assert message.task.promise == Promise(ttft_s=0.5, e2e_s=5.0)


@pytest.mark.parametrize(
    ("body", "session", "supersedes"),
    [(FIM, "local/editor", True), (FIM, None, False), (SUMMARY, "local/editor", False)],
)
async def test_only_a_completion_of_a_session_supersedes(
    bus: MemoryBus, body: Body, session: str | None, supersedes: bool
) -> None:
    message = await classified(bus, a_submission(body=body, session=session))

    assert message.task.supersedes is supersedes


async def test_a_kind_that_nobody_knows_is_set_aside_and_the_rest_goes_on(bus: MemoryBus) -> None:
    await bus.publish(a_submission("bad", kind="poetry"))
    await bus.publish(a_submission("good"))
    await asyncio.sleep(1.0)

    letters = [message for message in bus.published if isinstance(message, DeadLettered)]
    tasks = [message.task.id for message in bus.published if isinstance(message, TaskClassified)]
    assert len(letters) == 1
    assert "poetry" in letters[0].reason
    assert tasks == ["good"]


async def test_answers_teach_how_long_answers_are(bus: MemoryBus) -> None:
    before = await classified(bus, a_submission("first"))

    for number in range(200):
        await bus.publish(an_ending(f"other-{number}", tokens=50))
    await asyncio.sleep(0.1)
    after = await classified(bus, a_submission("second"))

    assert before.task.prediction.output_tokens_p50 == pytest.approx(14, abs=1)
    assert after.task.prediction.output_tokens_p50 == pytest.approx(50, rel=0.1)


async def test_what_one_model_writes_says_nothing_about_another(bus: MemoryBus) -> None:
    before = await classified(bus, a_submission("first", model="large"))

    for number in range(200):
        await bus.publish(an_ending(f"other-{number}", tokens=50))
    await asyncio.sleep(0.1)
    after = await classified(bus, a_submission("second", model="large"))

    assert after.task.prediction == before.task.prediction


async def test_answers_that_were_cut_short_teach_nothing(bus: MemoryBus) -> None:
    before = await classified(bus, a_submission("first"))

    for number in range(200):
        await bus.publish(an_ending(f"other-{number}", outcome=Outcome.CANCELLED, tokens=50))
    await asyncio.sleep(0.1)
    after = await classified(bus, a_submission("second"))

    assert after.task.prediction == before.task.prediction


async def test_finished_tasks_teach_how_long_a_token_is(bus: MemoryBus) -> None:
    body = Body(route="completions", prompt="x" * 995, suffix="y" * 5, max_tokens=64)

    for number in range(1000):
        await bus.publish(a_submission(f"task-{number}", body=body))
    await asyncio.sleep(0.1)
    for number in range(1000):
        ending = an_ending(f"task-{number}")
        usage = Usage(prompt_tokens=500, completion_tokens=10)
        await bus.publish(ending.model_copy(update={"usage": usage}))
    await asyncio.sleep(0.1)
    message = await classified(bus, a_submission("last", body=body))

    assert message.task.prediction.prompt_tokens == pytest.approx(500, rel=0.02)


async def test_the_trace_of_a_task_shows_its_classification(bus: MemoryBus) -> None:
    memory = Memory()
    traceparent = f"00-{'a' * 32}-{'b' * 16}-01"

    with keep_spans(memory):
        message = await classified(bus, a_submission(traceparent=traceparent))

    assert message.task.traceparent == traceparent
    assert [span.name for span in memory.spans] == [names.SPAN_CLASSIFY]
    assert memory.spans[0].parent_id == "b" * 16
    assert memory.spans[0].attributes[names.KIND] == "completion"
