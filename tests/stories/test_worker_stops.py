"""What is revoked, drained or no longer ours leaves the engine, and the scheduler hears of it."""

import asyncio
from dataclasses import replace

import pytest

from services.worker.engine import EngineDied
from shared.domain.fence import Fence
from shared.domain.outcome import Attempt
from shared.messages.catalogue import AttemptEnded, TokensProduced
from tests.stories.worker_bench import STEADY, Bench, a_bench, a_dispatch

HUNG = replace(STEADY, step_time=replace(STEADY.step_time, base_s=1000.0))


async def until_streaming(bench: Bench, task_id: str = "task-1") -> None:
    await bench.until(lambda: bool(bench.pieces(task_id)), "the first piece")


async def test_a_revoked_attempt_leaves_the_engine_within_100_ms_and_says_no_more() -> None:
    async with a_bench() as bench:
        await bench.dispatch(a_dispatch(max_tokens=1000))
        await until_streaming(bench)
        await bench.revoke()
        await bench.until(lambda: bench.engine.load().running == 0, "the engine is free", 0.1)
        said = len(bench.pieces())
        await asyncio.sleep(1)

        assert [ended.result for ended in bench.endings()] == [Attempt.ABORTED]
        assert len(bench.pieces()) == said


async def test_even_a_hung_engine_gives_a_revoked_attempt_back_within_100_ms() -> None:
    async with a_bench(profile=HUNG) as bench:
        await bench.dispatch(a_dispatch())
        await asyncio.sleep(0.5)
        await bench.revoke()
        await bench.until(lambda: bool(bench.endings()), "the attempt ended", 0.1)

        assert bench.endings()[0].result is Attempt.ABORTED
        assert bench.pieces() == []


async def test_a_revoked_attempt_that_waits_is_never_begun() -> None:
    async with a_bench(slots=1) as bench:
        await bench.dispatch(a_dispatch("task-1", max_tokens=20), a_dispatch("task-2"))
        await until_streaming(bench)
        await bench.revoke("task-2")
        await bench.until_ended(2)
        await asyncio.sleep(0.5)

        assert bench.pieces("task-2") == []
        results = {ended.task_id: ended.result for ended in bench.endings()}
        assert results == {"task-1": Attempt.COMPLETED, "task-2": Attempt.ABORTED}


async def test_a_late_dispatch_under_an_older_fence_does_not_stop_the_newer_attempt() -> None:
    async with a_bench() as bench:
        await bench.dispatch(a_dispatch(fence=Fence(1, 2), max_tokens=50))
        await until_streaming(bench)
        await bench.dispatch(a_dispatch(fence=Fence(0, 9)))
        await bench.until_ended()

        (ended,) = bench.endings()
        assert (ended.fence, ended.result) == (Fence(1, 2), Attempt.COMPLETED)


async def test_a_revocation_that_overtakes_its_dispatch_still_counts() -> None:
    async with a_bench() as bench:
        await bench.revoke()
        await bench.until_ended()
        await bench.dispatch(a_dispatch())
        await asyncio.sleep(1)

        assert bench.pieces() == []
        assert [ended.result for ended in bench.endings()] == [Attempt.ABORTED]


async def test_a_revocation_sent_twice_is_told_once() -> None:
    async with a_bench() as bench:
        await bench.dispatch(a_dispatch(max_tokens=1000))
        await until_streaming(bench)
        await bench.revoke()
        await bench.revoke()
        await asyncio.sleep(1)

        assert len(bench.endings()) == 1


async def test_revoking_one_fence_leaves_another_running() -> None:
    async with a_bench() as bench:
        await bench.dispatch(a_dispatch(fence=Fence(0, 2), max_tokens=20))
        await bench.revoke(fence=Fence(0, 1))
        endings = await bench.until_ended(2)

    results = {ended.fence: ended.result for ended in endings}
    assert results == {Fence(0, 1): Attempt.ABORTED, Fence(0, 2): Attempt.COMPLETED}


async def test_when_its_lease_ran_out_an_attempt_stops_in_silence() -> None:
    async with a_bench() as bench:
        await bench.dispatch(a_dispatch(max_tokens=5000, lease_s=3.0))
        await until_streaming(bench)
        await asyncio.sleep(10)  # Acknowledged reports renew it.
        assert bench.engine.load().running == 1

        bench.bus.is_deaf = True
        deaf_at = bench.worker.attempts.clock.now()
        await bench.until(lambda: bench.engine.load().running == 0, "it stopped", 3.2)
        said = len(bench.published(TokensProduced))
        stopped_after_s = bench.worker.attempts.clock.now() - deaf_at
        await asyncio.sleep(5)

        assert stopped_after_s > 2.8
        assert len(bench.published(TokensProduced)) == said
        assert bench.endings() == []
        assert bench.reports()[-1].tasks == ()


async def test_when_its_lease_ran_out_a_silent_engine_is_left_too() -> None:
    async with a_bench(profile=HUNG) as bench:
        bench.bus.is_deaf = True
        await bench.dispatch(a_dispatch(lease_s=1.0))
        await asyncio.sleep(0.5)
        assert bench.engine.load().running == 1

        await bench.until(lambda: bench.engine.load().running == 0, "it stopped", 0.7)

        assert bench.endings() == []


async def test_what_waited_until_its_lease_ran_out_is_handed_back() -> None:
    async with a_bench(slots=1, profile=HUNG) as bench:
        await bench.dispatch(a_dispatch("task-1", lease_s=60.0))
        bench.bus.is_deaf = True
        await bench.dispatch(a_dispatch("task-2", lease_s=1.0))
        await bench.until(lambda: bool(bench.endings()), "it was handed back", 1.2)

        (ended,) = bench.endings()
        assert (ended.task_id, ended.result) == ("task-2", Attempt.RETURNED)


async def test_draining_hands_back_what_waits_and_finishes_what_runs() -> None:
    async with a_bench(slots=1) as bench:
        await bench.dispatch(a_dispatch("task-1", max_tokens=50), a_dispatch("task-2"))
        await until_streaming(bench)
        bench.serving.cancel()
        await asyncio.sleep(0.05)
        await bench.dispatch(a_dispatch("task-3"))
        is_draining = bench.reports()[-1].draining
        await asyncio.gather(bench.serving, return_exceptions=True)

    results = {ended.task_id: ended.result for ended in bench.endings()}
    assert is_draining
    assert results == {
        "task-1": Attempt.COMPLETED,
        "task-2": Attempt.RETURNED,
        "task-3": Attempt.RETURNED,
    }
    assert bench.serving.cancelled()


async def test_what_does_not_finish_while_draining_is_aborted_and_handed_back() -> None:
    async with a_bench(drain_s=1.0) as bench:
        await bench.dispatch(a_dispatch(max_tokens=5000))
        await until_streaming(bench)
        began = asyncio.get_running_loop().time()
        bench.serving.cancel()
        await asyncio.gather(bench.serving, return_exceptions=True)
        took_s = asyncio.get_running_loop().time() - began

    (ended,) = bench.endings()
    assert ended.result is Attempt.RETURNED
    assert ended.first_token_at is not None
    assert took_s == pytest.approx(1.0, abs=0.02)


async def test_revoking_still_works_while_draining() -> None:
    async with a_bench() as bench:
        await bench.dispatch(a_dispatch(max_tokens=5000))
        await until_streaming(bench)
        bench.serving.cancel()
        await asyncio.sleep(0.1)
        await bench.revoke()
        await bench.until(lambda: bool(bench.endings()), "the attempt ended", 0.1)

        assert bench.endings()[0].result is Attempt.ABORTED


async def test_when_the_engine_dies_what_ran_fails_and_what_waits_is_handed_back() -> None:
    async with a_bench(slots=2) as bench:
        await bench.dispatch(*(a_dispatch(f"task-{n}", max_tokens=500) for n in (1, 2, 3)))
        await until_streaming(bench, "task-2")
        await bench.engine.stop()

        with pytest.raises(EngineDied):
            await bench.serving

    results = {str(ended.task_id): ended.result for ended in bench.endings()}
    assert results["task-1"] is results["task-2"] is Attempt.FAILED
    # Beginning it on a dead engine would cost it one of its attempts.
    assert results["task-3"] is Attempt.RETURNED


async def test_when_an_idle_engine_dies_the_worker_leaves_before_it_is_sent_a_task() -> None:
    async with a_bench() as bench:
        await bench.engine.stop()

        with pytest.raises(EngineDied):
            await asyncio.wait_for(bench.serving, 0.5)


async def test_a_worker_seated_elsewhere_reads_there_and_only_there() -> None:
    async with a_bench() as bench:
        await bench.admit(to_partition=1)
        await bench.dispatch(a_dispatch("task-1").model_copy(update={"to_partition": 1}))
        await bench.dispatch(a_dispatch("task-2"))
        await bench.until_ended()
        await asyncio.sleep(0.5)

        assert [ended.task_id for ended in bench.endings()] == ["task-1"]
        assert bench.reports()[-1].to_partition == 1


async def test_when_a_piece_is_lost_the_attempt_fails_instead_of_leaving_a_gap() -> None:
    async with a_bench() as bench:
        await bench.dispatch(a_dispatch(max_tokens=500))
        await until_streaming(bench)
        bench.bus.loses = TokensProduced
        (ended,) = await bench.until_ended()

    assert ended.result is Attempt.FAILED
    assert "not delivered" in (ended.error or "")
    assert bench.engine.load().running == 0


async def test_an_ending_that_was_lost_is_told_again() -> None:
    async with a_bench() as bench:
        bench.bus.loses = AttemptEnded
        await bench.dispatch(a_dispatch(max_tokens=5))
        await asyncio.sleep(1)
        assert bench.endings() == []

        bench.bus.loses = None
        (ended,) = await bench.until_ended()

    assert ended.result is Attempt.COMPLETED
