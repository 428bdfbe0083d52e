"""A worker runs what it is sent, once, and everybody can follow how it goes."""

import asyncio
from dataclasses import replace
from itertools import pairwise
from typing import ClassVar

import pytest

from shared.domain.fence import Fence
from shared.domain.outcome import Attempt, FinishReason
from shared.domain.task import Task
from shared.messages.body import Body
from shared.messages.catalogue import TokensProduced
from shared.messages.message import Message
from shared.messages.pool import WorkerAdmitted
from shared.telemetry import names
from shared.telemetry.tracing import Memory, keep_spans
from tests.builders import a_task
from tests.stories.worker_bench import ME, SEAT, a_bench, a_dispatch


class Scrawled(Message):
    """Nothing that anybody expects on these topics."""

    base_topic: ClassVar[str] = "nowhere"

    on: str
    task: int = 17

    def topic(self) -> str:
        return self.on

    def partition(self) -> int:
        return SEAT


async def test_a_worker_asks_for_a_seat_until_it_has_one() -> None:
    async with a_bench(is_seated=False) as bench:
        await asyncio.sleep(1.6)
        unseated = bench.reports()
        await bench.admit()
        await bench.until(lambda: bench.reports()[-1].to_partition == SEAT, "it says so", 0.01)

    assert [report.to_partition for report in unseated] == [None] * 4
    assert (unseated[0].worker, unseated[0].incarnation) == ("worker-1", "a1")


async def test_somebody_elses_admission_is_not_taken() -> None:
    async with a_bench(is_seated=False) as bench:
        await bench.until(lambda: bool(bench.reports()), "it asks")
        await bench.bus.publish(WorkerAdmitted(worker=ME.name, incarnation="older", to_partition=1))
        await asyncio.sleep(1)

        assert bench.worker.inbox.partition is None


async def test_an_answer_arrives_whole_in_order_and_with_its_end() -> None:
    async with a_bench() as bench:
        await bench.dispatch(a_dispatch(max_tokens=30))
        (ended,) = await bench.until_ended()

    pieces = bench.pieces()
    assert [piece.sequence for piece in pieces] == list(range(len(pieces)))
    assert sum(piece.tokens for piece in pieces) == 30
    assert pieces[-1].finish_reason is FinishReason.LENGTH
    assert pieces[-1].usage == ended.usage
    assert all(piece.synthetic and piece.worker == ME.wire_name for piece in pieces)
    assert ended.result is Attempt.COMPLETED
    assert ended.finish_reason is FinishReason.LENGTH
    assert ended.engine_s == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("task", "within_s"),
    [(a_task(ttft_s=1.0), 0.04), (a_task(e2e_s=5.0), 0.12), (a_task(), 0.12)],
)
async def test_the_first_token_leaves_at_once_and_later_ones_as_late_as_their_promise_allows(
    task: Task, within_s: float
) -> None:
    now = asyncio.get_running_loop().time
    waited_s: list[float] = []
    async with a_bench() as bench:
        began, told = now(), 0
        await bench.dispatch(a_dispatch(max_tokens=50, task=task))
        while not bench.endings():
            for piece in bench.pieces()[len(waited_s) :]:
                # The steady engine makes a token every 10 ms.
                waited_s.append(now() - began - 0.01 * (told + 1))
                told += piece.tokens
            await asyncio.sleep(0.001)

    first, *others = bench.pieces()
    assert first.tokens == 1
    assert first.queued_s is not None
    assert waited_s[0] < 0.002
    assert max(waited_s) < within_s + 0.002
    assert len(others) <= 0.5 / within_s + 2
    assert all(piece.queued_s is None for piece in others)


async def test_the_same_attempt_sent_twice_runs_once() -> None:
    async with a_bench() as bench:
        await bench.dispatch(a_dispatch(), a_dispatch())
        await bench.until_ended()
        await bench.dispatch(a_dispatch())
        await asyncio.sleep(1)

        assert len(bench.endings()) == 1
        assert [piece.sequence for piece in bench.pieces()].count(0) == 1


async def test_a_newer_attempt_of_the_same_task_replaces_the_older_one() -> None:
    async with a_bench() as bench:
        await bench.dispatch(a_dispatch(max_tokens=500))
        await bench.until(lambda: bool(bench.pieces()), "the older one streams")
        await bench.dispatch(a_dispatch(fence=Fence(0, 2), max_tokens=5))
        endings = await bench.until_ended(2)

    results = {ended.fence: ended.result for ended in endings}
    assert results == {Fence(0, 1): Attempt.ABORTED, Fence(0, 2): Attempt.COMPLETED}


async def test_what_is_addressed_to_an_earlier_life_is_ignored() -> None:
    async with a_bench() as bench:
        await bench.dispatch(a_dispatch().model_copy(update={"worker": "worker-1/older"}))
        await asyncio.sleep(0.5)

        assert bench.endings() == []
        assert bench.pieces() == []


async def test_garbage_between_two_dispatches_harms_neither() -> None:
    async with a_bench() as bench:
        await bench.dispatch(a_dispatch("task-1"))
        await bench.bus.publish(Scrawled(on="tasks.dispatched"))
        await bench.bus.publish(Scrawled(on="tasks.revoked"))
        await bench.dispatch(a_dispatch("task-2"))
        endings = await bench.until_ended(2)

    assert {ended.task_id for ended in endings} == {"task-1", "task-2"}
    assert {ended.result for ended in endings} == {Attempt.COMPLETED}


async def test_a_native_task_is_rendered_by_the_template_of_its_kind() -> None:
    body = Body(route="tasks", code="def add(a, b): return a + b", language="python", max_tokens=5)
    task = a_task("task-1", kind="summarization", e2e_s=5.0)
    async with a_bench() as bench:
        await bench.dispatch(a_dispatch(body=body, task=task))
        (ended,) = await bench.until_ended()

    assert ended.result is Attempt.COMPLETED
    assert ended.usage is not None
    # The template's words stand around the code.
    assert ended.usage.prompt_tokens > len(body.code or "") // 4 + 10


async def test_a_kind_without_a_template_is_refused_not_retried() -> None:
    body = Body(route="tasks", code="x", max_tokens=5)
    async with a_bench() as bench:
        await bench.dispatch(a_dispatch(body=body, task=a_task(kind="poetry")))
        (ended,) = await bench.until_ended()

    assert ended.result is Attempt.REFUSED
    assert "poetry" in (ended.error or "")


async def test_a_prompt_beyond_the_context_is_refused() -> None:
    body = Body(route="completions", prompt="x" * 100_000, max_tokens=5)
    async with a_bench() as bench:
        await bench.dispatch(a_dispatch(body=body))
        (ended,) = await bench.until_ended()

    assert ended.result is Attempt.REFUSED
    assert ended.first_token_at is None


async def test_no_more_than_its_slots_are_in_the_engine_and_the_rest_follow_in_order() -> None:
    async with a_bench(slots=2) as bench:
        await bench.dispatch(*(a_dispatch(f"task-{n}", max_tokens=10) for n in range(6)))
        most = 0
        while len(bench.endings()) < 6:
            most = max(most, bench.engine.load().running)
            await asyncio.sleep(0.001)

    firsts = [piece.task_id for piece in bench.published(TokensProduced) if piece.sequence == 0]
    assert most == 2
    assert firsts == [f"task-{n}" for n in range(6)]


async def test_reports_tell_at_once_of_starts_and_ends_but_at_most_every_5_ms() -> None:
    async with a_bench() as bench:
        await asyncio.sleep(1)
        before = len(bench.reports())
        await bench.dispatch(a_dispatch(max_tokens=5))
        await bench.until(lambda: bool(bench.reports()[-1].tasks), "the start is told", 0.006)
        await bench.until_ended()
        await bench.until(lambda: not bench.reports()[-1].tasks, "the end is told", 0.006)

        stamps = [report.at for report in bench.reports()]
        assert before >= 10
        assert min(later - earlier for earlier, later in pairwise(stamps)) > 0.0049
        assert max(later - earlier for earlier, later in pairwise(stamps[2:])) < 0.1001


async def test_a_report_says_how_much_its_engine_can_hold() -> None:
    async with a_bench() as bench:
        assert bench.reports()[-1].context_tokens == bench.engine.profile.context_tokens


async def test_a_report_says_who_has_begun_to_stream() -> None:
    async with a_bench(slots=1) as bench:
        await bench.dispatch(a_dispatch("task-1", max_tokens=100), a_dispatch("task-2"))
        await asyncio.sleep(0.3)

        running = {task.task_id: task.streamed for task in bench.reports()[-1].tasks}
        assert running == {"task-1": True, "task-2": False}
        assert bench.reports()[-1].load.running == 1


async def test_a_traced_task_shows_where_its_time_went_on_the_worker() -> None:
    traced = replace(
        a_task(ttft_s=0.3), traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    )
    memory = Memory()
    async with a_bench() as bench:
        with keep_spans(memory):
            await bench.dispatch(a_dispatch(task=traced, max_tokens=20))
            await bench.until_ended()

    dispatch, feed, engine = memory.spans
    assert [dispatch.name, feed.name, engine.name] == ["dispatch", "feed", "engine"]
    assert dispatch.end_at == feed.start_at
    assert feed.end_at == engine.start_at
    assert engine.end_at - engine.start_at == pytest.approx(0.2)
    assert engine.attributes[names.TTFT_S] == pytest.approx(0.01)
    assert engine.attributes[names.SLACK_S] == pytest.approx(0.3 - engine.end_at)
