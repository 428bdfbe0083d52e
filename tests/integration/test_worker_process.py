"""A worker as a process: serves over Kafka's protocol, drains on SIGTERM, leaves a dead engine."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import aiohttp
import pytest
from aiohttp import web

from deploy.local.embedded_kafka import EmbeddedKafka
from deploy.local.ports import chosen_port
from shared.adapters.kafka_bus import KafkaBus
from shared.domain.outcome import Attempt
from shared.messages.bus import Record, Start, Subscription
from shared.messages.catalogue import AttemptEnded, TokensProduced
from shared.messages.message import Message
from shared.messages.pool import WorkerAdmitted, WorkerReported
from tests.eventually import WITHIN_S, eventually
from tests.integration.peers import a_chunk, a_peer, say
from tests.stories.worker_bench import a_dispatch

ROOT = Path(__file__).parents[2]
SEAT = 1
FETCH_WAIT_MS = 5
M = TypeVar("M", bound=Message)


@dataclass
class Desk:
    """What a scheduler and an ingress would see of the worker."""

    bus: KafkaBus
    servers: str
    seen: list[Message] = field(default_factory=list)

    def of(self, kind: type[M]) -> list[M]:
        return [message for message in self.seen if isinstance(message, kind)]

    def tokens(self) -> int:
        return sum(piece.tokens for piece in self.of(TokensProduced))

    async def read(self, kind: type[M], is_reading: asyncio.Event) -> None:
        async def take(records: Sequence[Record[M]]) -> None:
            self.seen += [record.message for record in records]

        reading = Subscription(message=kind, topic=kind.base_topic, start=Start.LATEST)
        await self.bus.consume(reading, take, caught_up=is_reading.set)

    async def seat(self, within_s: float = WITHIN_S) -> str:
        """Its name on the wire, once it reads where it was seated."""
        await eventually(
            lambda: bool(self.of(WorkerReported)), within_s=within_s, saying="it reports"
        )
        first = self.of(WorkerReported)[0]
        await self.bus.publish(
            WorkerAdmitted(worker=first.worker, incarnation=first.incarnation, to_partition=SEAT)
        )

        def is_seated() -> bool:
            return self.of(WorkerReported)[-1].to_partition == SEAT

        await eventually(is_seated, saying="it is seated")
        return f"{first.worker}/{first.incarnation}"

    async def dispatch(self, worker: str, id: str, max_tokens: int) -> None:
        to_it = {"worker": worker, "to_partition": SEAT}
        await self.bus.publish(a_dispatch(id, max_tokens=max_tokens).model_copy(update=to_it))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with (
        EmbeddedKafka.start(tmp_path / "kafka") as kafka,
        KafkaBus.connect(kafka.bootstrap, fetch_wait_ms=FETCH_WAIT_MS) as bus,
    ):
        desk = Desk(bus=bus, servers=kafka.bootstrap)
        reading: list[asyncio.Task[None]] = []
        for kind in (WorkerReported, TokensProduced, AttemptEnded):
            is_reading = asyncio.Event()
            reading.append(asyncio.create_task(desk.read(kind, is_reading)))
            async with asyncio.timeout(WITHIN_S):
                await is_reading.wait()
        yield desk
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)


@asynccontextmanager
async def a_process(*words: str, **settings: str) -> AsyncIterator[Process]:
    environment = {**os.environ, **settings}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, cwd=ROOT, env=environment
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def a_worker_process(desk: Desk, **settings: str) -> AbstractAsyncContextManager[Process]:
    return a_process(
        *("-m", "services.worker"),
        CATO_KAFKA_SERVERS=desk.servers,
        CATO_FETCH_WAIT_MS=str(FETCH_WAIT_MS),
        CATO_SLOTS="1",
        **settings,
    )


async def test_it_serves_and_on_sigterm_finishes_what_it_began(desk: Desk) -> None:
    async with a_worker_process(desk) as process:
        worker = await desk.seat()
        # Some seconds' work, so that it still runs when the signal comes.
        await desk.dispatch(worker, "task-1", max_tokens=500)
        await desk.dispatch(worker, "task-2", max_tokens=5)
        await eventually(lambda: bool(desk.of(TokensProduced)), saying="it streams")

        process.send_signal(signal.SIGTERM)

        assert await asyncio.wait_for(process.wait(), WITHIN_S) == 0
        await eventually(lambda: len(desk.of(AttemptEnded)) == 2, saying="both ended")
        # Read by another reader, which may come later.
        await eventually(lambda: desk.tokens() == 500, saying="all was streamed")
    results = {str(ended.task_id): ended.result for ended in desk.of(AttemptEnded)}
    assert results == {"task-1": Attempt.COMPLETED, "task-2": Attempt.RETURNED}


async def test_when_its_engine_is_killed_it_fails_the_attempt_and_exits_with_1(desk: Desk) -> None:
    port = str(chosen_port(0, setting="port"))
    engine = ("-m", "services.worker.engines.server", "--profile", "reference", "--port", port)
    settings = {"CATO_ENGINE": "openai", "CATO_ENGINE_URL": f"http://127.0.0.1:{port}/v1"}
    async with a_process(*engine) as server, a_worker_process(desk, **settings) as process:
        worker = await desk.seat()
        await desk.dispatch(worker, "task-1", max_tokens=3000)
        await eventually(lambda: bool(desk.of(TokensProduced)), saying="it streams")

        server.kill()

        assert await asyncio.wait_for(process.wait(), WITHIN_S) == 1
        await eventually(lambda: bool(desk.of(AttemptEnded)), saying="the attempt ended")
    assert [ended.result for ended in desk.of(AttemptEnded)] == [Attempt.FAILED]


async def test_it_is_not_ready_until_its_server_has_answered_a_first_question(desk: Desk) -> None:
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.set()
        await may_answer.wait()
        return await say(request, a_chunk("a", "stop"), "[DONE]")

    port = str(chosen_port(0, setting="port"))
    async with (
        a_peer(answer) as url,
        a_worker_process(desk, CATO_ENGINE="openai", CATO_ENGINE_URL=url, CATO_HEALTH_PORT=port),
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as probe,
    ):
        await asyncio.wait_for(asked.wait(), WITHIN_S)
        async with probe.get("/healthz") as alive, probe.get("/readyz") as before:
            assert (alive.status, before.status) == (200, 503)
        assert desk.of(WorkerReported) == []

        may_answer.set()
        await desk.seat()

        async with probe.get("/readyz") as after:
            assert after.status == 200


async def test_when_its_engine_hangs_it_hands_the_task_back_and_exits_with_1(desk: Desk) -> None:
    port = str(chosen_port(0, setting="port"))
    engine = ("-m", "services.worker.engines.server", "--profile", "reference", "--port", port)
    settings = {
        "CATO_ENGINE": "openai",
        "CATO_ENGINE_URL": f"http://127.0.0.1:{port}/v1",
        "CATO_STUCK_S": "1",
    }
    async with a_process(*engine) as server, a_worker_process(desk, **settings) as process:
        worker = await desk.seat()
        await desk.dispatch(worker, "task-1", max_tokens=3000)
        await eventually(lambda: bool(desk.of(TokensProduced)), saying="it streams")

        server.send_signal(signal.SIGSTOP)

        assert await asyncio.wait_for(process.wait(), WITHIN_S) == 1
        await eventually(lambda: bool(desk.of(AttemptEnded)), saying="the attempt ended")
    (ended,) = desk.of(AttemptEnded)
    assert ended.result is Attempt.FAILED
    assert "brought nothing for 1 s" in (ended.error or "")


# An engine that breaks down so that even stopping it never returns.
_HANGS_FOR_EVER = """
import asyncio, runpy, sys
from services.worker.engine import EngineDied
from services.worker.engines import ENGINES
from services.worker.engines.simulated import SimulatedEngine

class Hung(SimulatedEngine):
    def death(self):
        return EngineDied("it hangs")

    async def stop(self):
        await asyncio.Event().wait()

ENGINES["hung"] = Hung.of
runpy.run_module("services.worker", run_name="__main__")
"""


async def test_an_engine_that_cannot_even_be_stopped_does_not_keep_it(desk: Desk) -> None:
    settings = {"CATO_KAFKA_SERVERS": desk.servers, "CATO_ENGINE": "hung"}

    async with a_process("-c", _HANGS_FOR_EVER, **settings) as process:
        assert await asyncio.wait_for(process.wait(), WITHIN_S) == 1


async def test_a_second_signal_ends_it_while_it_finishes_its_work(desk: Desk) -> None:
    async with a_worker_process(desk, CATO_DRAIN_S="600") as process:
        worker = await desk.seat()
        await desk.dispatch(worker, "task-1", max_tokens=15_000)
        await eventually(lambda: bool(desk.of(TokensProduced)), saying="it streams")
        process.send_signal(signal.SIGTERM)
        await eventually(lambda: desk.of(WorkerReported)[-1].draining, saying="it drains")

        process.send_signal(signal.SIGTERM)

        assert await asyncio.wait_for(process.wait(), WITHIN_S) == 128 + signal.SIGTERM
