"""A worker on a memory bus with a simulated engine, and a hand that plays the scheduler."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from services.worker.engine import Engine
from services.worker.engines.simulated import SimulatedEngine
from services.worker.roster import Identity
from services.worker.worker import Worker
from shared.adapters.clock import LoopClock
from shared.adapters.memory_bus import MemoryBus
from shared.domain.errors import Unavailable
from shared.domain.fence import Fence
from shared.domain.task import Task, TaskId
from shared.messages.body import Body
from shared.messages.bus import Position
from shared.messages.catalogue import AttemptEnded, TaskDispatched, TaskRevoked, TokensProduced
from shared.messages.message import Message
from shared.messages.pool import WorkerAdmitted, WorkerReported
from shared.scheduling.feeding import FEEDERS
from shared.scheduling.step_time import EngineProfile, StepTime
from tests.builders import REFERENCE, a_task

ME = Identity(name="worker-1", incarnation="a1", model="cato-demo", slots=4)
SEAT = 2
FIRST = Fence(0, 1)
# Every token takes 10 ms, whatever else runs.
STEADY = replace(REFERENCE, step_time=StepTime(base_s=0.01, prefill_s=0.0, decode_s=0.0, kv_s=0.0))
M = TypeVar("M", bound=Message)


class FickleBus(MemoryBus):
    """A bus whose acknowledgements stop coming when it is deaf; it can lose what is said, too."""

    is_deaf = False
    loses: type[Message] | None = None

    async def publish(self, message: Message) -> Awaitable[Position]:
        unanswered: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        if self.loses is not None and isinstance(message, self.loses):
            unanswered.set_exception(Unavailable("no broker took it"))
            return unanswered
        acknowledged = await super().publish(message)
        return unanswered if self.is_deaf else acknowledged


@dataclass
class Bench:
    bus: FickleBus
    engine: Engine
    worker: Worker
    serving: asyncio.Task[None]

    def published(self, kind: type[M], since: int = 0) -> list[M]:
        return [message for message in self.bus.published[since:] if isinstance(message, kind)]

    def reports(self) -> list[WorkerReported]:
        return self.published(WorkerReported)

    def endings(self) -> list[AttemptEnded]:
        return self.published(AttemptEnded)

    def pieces(self, task_id: str = "task-1") -> list[TokensProduced]:
        return [piece for piece in self.published(TokensProduced) if piece.task_id == task_id]

    async def admit(self, to_partition: int = SEAT) -> None:
        await self.bus.publish(
            WorkerAdmitted(worker=ME.name, incarnation=ME.incarnation, to_partition=to_partition)
        )
        await self.until(lambda: self.worker.inbox.partition == to_partition, "it is seated")

    async def admit_when_asked(self) -> None:
        await self.until(lambda: bool(self.reports()), "it asks for a seat")
        await self.admit()

    async def dispatch(self, *messages: TaskDispatched) -> None:
        for message in messages:
            await self.bus.publish(message)

    async def revoke(self, task_id: str = "task-1", fence: Fence = FIRST) -> None:
        await self.bus.publish(
            TaskRevoked(
                task_id=TaskId(task_id), fence=fence, worker=ME.wire_name, to_partition=SEAT
            )
        )

    async def until(self, is_so: Callable[[], bool], saying: str, within_s: float = 5.0) -> None:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + within_s
        while not is_so():
            assert loop.time() < give_up, f"not within {within_s:g} s: {saying}"
            await asyncio.sleep(0.001)

    async def until_ended(self, attempts: int = 1) -> Sequence[AttemptEnded]:
        await self.until(lambda: len(self.endings()) >= attempts, f"{attempts} attempts ended")
        return self.endings()


def a_dispatch(
    id: str = "task-1",
    *,
    fence: Fence = FIRST,
    max_tokens: int = 10,
    lease_s: float = 3.0,
    body: Body | None = None,
    task: Task | None = None,
) -> TaskDispatched:
    endless = Body(
        route="completions",
        prompt=f"# {id}",
        max_tokens=max_tokens,
        extra={"ignore_eos": True},
    )
    return TaskDispatched(
        task=task or a_task(id, ttft_s=0.3),
        body=body or endless,
        fence=fence,
        worker=ME.wire_name,
        to_partition=SEAT,
        dispatched_at=0.0,
        lease_s=lease_s,
    )


@asynccontextmanager
async def a_bench(
    *,
    profile: EngineProfile = STEADY,
    slots: int = 4,
    drain_s: float = 5.0,
    is_seated: bool = True,
    feeder: str = "fcfs",
) -> AsyncIterator[Bench]:
    bus, clock = FickleBus(), LoopClock()
    engine = SimulatedEngine(profile=profile, clock=clock)
    await engine.start()
    worker = Worker.of(
        me=replace(ME, slots=slots),
        bus=bus,
        engine=engine,
        clock=clock,
        feeder=FEEDERS[feeder](profile),
    )
    serving = asyncio.create_task(worker.serve(drain_s=drain_s))
    bench = Bench(bus=bus, engine=engine, worker=worker, serving=serving)
    if is_seated:
        await bench.admit_when_asked()
    try:
        yield bench
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await engine.stop()
