"""An ingress to tell stories about: clients that do as they please, and a scripted house."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from pydantic import JsonValue

from services.ingress.app import build_app
from services.ingress.backlogs import Backlogs
from services.ingress.gate import Gate
from services.ingress.ingress import Ingress
from services.ingress.journal import Journal
from services.ingress.replies import Replies
from services.ingress.settings import Knobs
from services.ingress.tenants import Tenants
from services.ingress.vigil import Vigil
from shared.adapters.clock import LoopClock
from shared.adapters.memory_bus import MemoryBus
from shared.adapters.memory_idempotency import MemoryIdempotency
from shared.adapters.memory_quota import MemoryQuota
from shared.adapters.memory_reply_leases import MemoryReplyLeases
from shared.domain.fence import Fence
from shared.domain.outcome import FinishReason, Outcome
from shared.domain.task import LatencyClass
from shared.messages.catalogue import TaskCancelled, TaskEnded, TaskSubmitted, TokensProduced, Usage
from shared.messages.logprobs import TokenLogprob
from shared.messages.message import Message
from shared.messages.pool import BacklogReported, ClassBacklog
from tests.stories.http_clients import Client
from tests.stories.outages import OutageLog

M = TypeVar("M", bound=Message)

HELLO: dict[str, JsonValue] = {"model": "cato-demo", "prompt": "def f():", "max_tokens": 8}
CHAT: dict[str, JsonValue] = {"messages": [{"role": "user", "content": "hello"}]}
FIRST = Fence(1, 1)


@dataclass(slots=True, kw_only=True)
class House:
    """The ingress is real; classifier, scheduler and workers are played by the story."""

    bus: MemoryBus
    clock: LoopClock
    leases: MemoryReplyLeases
    ingress: Ingress
    replies: Replies
    client: Client
    log: OutageLog
    running: list["asyncio.Task[None]"] = field(default_factory=list)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        *,
        knobs: Knobs | None = None,
        tenants: Tenants | None = None,
        bus: type[MemoryBus] = MemoryBus,
    ) -> AsyncIterator["House"]:
        clock = LoopClock(start_at=1000.0)
        house = cls.around(bus(clock=clock), clock, knobs or Knobs(), tenants or Tenants())
        house.running += [
            asyncio.create_task(house.replies.serve()),
            asyncio.create_task(house.ingress.gate.backlogs.listen()),
            asyncio.create_task(house.keep_reporting()),
        ]
        await house.until(house.ingress.is_ready, saying="the ingress is ready")
        try:
            yield house
        finally:
            for task in house.running:
                task.cancel()
            await asyncio.gather(*house.running, return_exceptions=True)
            await house.ingress.errands.finish(0)

    @classmethod
    def around(cls, bus: MemoryBus, clock: LoopClock, knobs: Knobs, tenants: Tenants) -> "House":
        leases = MemoryReplyLeases(clock, partitions=4)
        log = OutageLog(clock, ttl_s=60, byte_cap=1_000_000)
        replies = Replies(bus=bus, leases=leases, clock=clock)
        journal = Journal(
            log=log,
            idempotency=MemoryIdempotency(clock),
            idempotency_ttl_s=60,
            clock=clock,
        )
        ingress = Ingress(
            bus=bus,
            clock=clock,
            gate=Gate(
                tenants=tenants,
                quota=MemoryQuota(clock),
                backlogs=Backlogs(bus=bus, clock=clock),
                desk=replies.desk,
                knobs=knobs,
            ),
            journal=journal,
            vigil=Vigil(journal=journal, leases=leases),
        )
        return cls(
            bus=bus,
            clock=clock,
            leases=leases,
            ingress=ingress,
            replies=replies,
            client=Client(build_app(ingress)),
            log=log,
        )

    async def report(
        self,
        model: str = "cato-demo",
        *,
        workers: int = 1,
        is_full: bool = False,
        wait_s: float = 0,
        context_tokens: int | None = None,
        step_s: float = 0,
    ) -> None:
        """Play the scheduler's report; it stays the last word until the story says otherwise."""
        waiting = {each: ClassBacklog(wait_s=wait_s) for each in LatencyClass}
        await self.bus.publish(
            BacklogReported(
                model=model,
                epoch=1,
                at=self.clock.now(),
                workers=workers,
                slots=8 * workers,
                queued_bytes=0,
                is_full=is_full,
                classes=waiting,
                context_tokens=context_tokens,
                step_s=step_s,
            )
        )
        await self.settle()

    async def keep_reporting(self) -> None:
        while True:
            await self.report()
            await asyncio.sleep(1)

    async def end_this_life_of_the_ingress(self) -> None:
        """As a kill would: nothing more is written down, and its lease runs out."""
        await self.ingress.errands.finish(0)
        self.replies.desk.incarnation = "reborn"

    def silence_the_scheduler(self) -> None:
        self.running[2].cancel()

    async def task(self, number: int = 0) -> TaskSubmitted:
        """The task that was submitted as this one."""
        await self.until(lambda: len(self.told(TaskSubmitted)) > number, saying="it is submitted")
        return self.told(TaskSubmitted)[number]

    async def say(
        self,
        task: TaskSubmitted,
        text: str = "",
        *,
        at: int = 0,
        fence: Fence = FIRST,
        finish: FinishReason | None = None,
        delta: str | None = None,
        incarnation: str | None = None,
        logprobs: Sequence[TokenLogprob] = (),
    ) -> None:
        """Play the worker: one piece of the answer, `at` its place."""
        reply_to = task.reply_to
        await self.bus.publish(
            TokensProduced(
                task_id=task.task_id,
                fence=fence,
                worker="worker-1/1",
                reply_to=replace(reply_to, incarnation=incarnation or reply_to.incarnation),
                sequence=at,
                text=text,
                tokens=1,
                logprobs=tuple(logprobs) or None,
                delta=delta,
                queued_s=0.005,
                finish_reason=finish,
                usage=Usage(prompt_tokens=3, completion_tokens=at + 1) if finish else None,
                kind="completion",
                latency_class=LatencyClass.TTFT,
            )
        )
        await self.settle()

    async def answer(self, task: TaskSubmitted, *texts: str) -> None:
        await self.answer_from(task, 0, *texts)

    async def answer_from(self, task: TaskSubmitted, first: int, *texts: str) -> None:
        last = first + len(texts) - 1
        for at, text in enumerate(texts, first):
            await self.say(task, text, at=at, finish=FinishReason.STOP if at == last else None)

    async def end(
        self, task: TaskSubmitted, outcome: Outcome, *, retry_after_s: float | None = None
    ) -> None:
        """Play the scheduler: the task is over."""
        await self.bus.publish(
            TaskEnded(
                task_id=task.task_id,
                kind="completion",
                latency_class=LatencyClass.TTFT,
                tenant=task.tenant,
                model=task.model,
                outcome=outcome,
                fence=FIRST,
                reply_to=task.reply_to,
                received_at=task.received_at,
                ended_at=self.clock.now(),
                retry_after_s=retry_after_s,
            )
        )
        await self.settle()

    def told(self, kind: type[M]) -> list[M]:
        return [message for message in self.bus.published if isinstance(message, kind)]

    def cancelled(self) -> set[str]:
        return {str(message.task_id) for message in self.told(TaskCancelled)}

    async def settle(self) -> None:
        """Let everybody do what can be done without time passing."""
        for _ in range(30):
            await asyncio.sleep(0)

    async def until(self, is_so: Callable[[], bool], *, saying: str, within_s: float = 5.0) -> None:
        limit_at = self.clock.now() + within_s
        while not is_so():
            assert self.clock.now() < limit_at, f"not within {within_s} s: {saying}"
            await asyncio.sleep(0.001)
