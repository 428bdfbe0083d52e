"""A worker process with vLLM in it: drains on SIGTERM, leaves a dead engine, leaves none behind."""

import asyncio
import os
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from shared.domain.outcome import Attempt
from shared.messages.catalogue import AttemptEnded, TokensProduced
from tests.eventually import eventually
from tests.integration.test_worker_process import Desk, a_worker_process, desk
from tests.processes import is_alive
from tests.vllm.tiny import engine_pids, worker_settings

__all__ = ["desk"]

_LOADED_WITHIN_S = 240


@asynccontextmanager
async def a_seated_worker(desk: Desk, folder: Path) -> AsyncIterator[tuple[Process, str]]:
    async with a_worker_process(desk, **worker_settings(folder)) as process:
        yield process, await desk.seat(within_s=_LOADED_WITHIN_S)


async def test_on_sigterm_it_finishes_what_it_began_and_hands_back_the_rest(
    desk: Desk, model_folder: Path
) -> None:
    async with a_seated_worker(desk, model_folder) as (process, worker):
        engines = engine_pids(process.pid)
        await desk.dispatch(worker, "task-1", max_tokens=300)
        await desk.dispatch(worker, "task-2", max_tokens=5)
        await eventually(lambda: bool(desk.of(TokensProduced)), within_s=20, saying="it streams")

        process.send_signal(signal.SIGTERM)

        assert await asyncio.wait_for(process.wait(), 30) == 0
        await eventually(lambda: len(desk.of(AttemptEnded)) == 2, saying="both ended")
        await eventually(lambda: desk.tokens() == 300, saying="all was streamed")
    results = {str(ended.task_id): ended.result for ended in desk.of(AttemptEnded)}
    assert results == {"task-1": Attempt.COMPLETED, "task-2": Attempt.RETURNED}
    assert not any(map(psutil.pid_exists, engines))


async def test_when_its_engine_is_killed_it_hands_back_what_waits_and_exits_with_1(
    desk: Desk, model_folder: Path
) -> None:
    async with a_seated_worker(desk, model_folder) as (process, worker):
        await desk.dispatch(worker, "task-1", max_tokens=3000)
        await desk.dispatch(worker, "task-2", max_tokens=5)
        await eventually(lambda: bool(desk.of(TokensProduced)), within_s=20, saying="it streams")

        (engine,) = engine_pids(process.pid)
        os.kill(engine, signal.SIGKILL)

        assert await asyncio.wait_for(process.wait(), 20) == 1
        await eventually(lambda: len(desk.of(AttemptEnded)) == 2, within_s=5, saying="both ended")
    results = {str(ended.task_id): ended.result for ended in desk.of(AttemptEnded)}
    assert results == {"task-1": Attempt.FAILED, "task-2": Attempt.RETURNED}


async def test_when_its_engine_is_killed_while_idle_it_exits_with_1(
    desk: Desk, model_folder: Path
) -> None:
    async with a_seated_worker(desk, model_folder) as (process, _):
        (engine,) = engine_pids(process.pid)

        os.kill(engine, signal.SIGKILL)

        assert await asyncio.wait_for(process.wait(), 20) == 1
    assert desk.of(AttemptEnded) == []


async def test_a_killed_worker_leaves_no_engine_behind(desk: Desk, model_folder: Path) -> None:
    async with a_seated_worker(desk, model_folder) as (process, _):
        (engine,) = engine_pids(process.pid)

        process.kill()
        await process.wait()

        await eventually(lambda: not is_alive(engine), within_s=10, saying="its engine is gone")


async def test_a_worker_killed_while_it_loads_leaves_no_engine_behind(
    desk: Desk, model_folder: Path
) -> None:
    async with a_worker_process(desk, **worker_settings(model_folder)) as process:
        engine = await the_loading_engine(process)

        process.kill()
        await process.wait()

        await eventually(lambda: not is_alive(engine), within_s=10, saying="its engine is gone")


async def test_on_sigterm_while_it_loads_it_leaves_without_waiting_for_the_model(
    desk: Desk, model_folder: Path
) -> None:
    async with a_worker_process(desk, **worker_settings(model_folder)) as process:
        engine = await the_loading_engine(process)
        # A model that would take for ever to load.
        os.kill(engine, signal.SIGSTOP)

        process.send_signal(signal.SIGTERM)

        assert await asyncio.wait_for(process.wait(), 20) == 0
        assert not is_alive(engine)


async def the_loading_engine(worker: Process) -> int:
    def is_loading() -> bool:
        return bool(engine_pids(worker.pid))

    # To look at every process takes a while, and the engine needs the cores.
    await eventually(is_loading, within_s=_LOADED_WITHIN_S, saying="it loads", every_s=0.1)
    (engine,) = engine_pids(worker.pid)
    return engine
