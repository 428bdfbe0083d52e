"""A pool to tell stories about: a scheduler over memory, and workers that follow the script."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from services.scheduler.reign import Candidate, Throne
from services.scheduler.scheduler import Knobs
from shared.adapters.memory_queue import MemoryStore
from shared.domain.outcome import Attempt, Outcome
from shared.domain.task import Task, TaskId
from shared.messages.body import Body
from shared.messages.catalogue import (
    AttemptEnded,
    TaskCancelled,
    TaskClassified,
    TaskDispatched,
    TaskEnded,
    TaskRevoked,
    Usage,
)
from shared.messages.message import Message
from shared.messages.pool import RunningTask, WorkerAdmitted, WorkerReported
from shared.tasks.parsing import parses
from tests.builders import HERE, a_backlog
from tests.stories.outages import LeapingClock, Outage, OutageBus, OutageQueue

M = TypeVar("M", bound=Message)


@dataclass(slots=True)
class LiveIngresses:
    """Who holds which reply partition, as the story wants it."""

    leases: dict[int, str] = field(default_factory=lambda: {HERE.partition: HERE.incarnation})

    async def live(self) -> dict[int, str]:
        return self.leases


@dataclass(slots=True)
class ParserHere:
    """No process is started in a story."""

    takes_s: float = 0.0

    async def parses(self, language: str, answer: str) -> bool:
        await asyncio.sleep(self.takes_s)
        return parses(language, answer)


@dataclass(slots=True, kw_only=True)
class Pool:
    bus: OutageBus
    store: MemoryStore
    clock: LeapingClock
    replies: LiveIngresses
    knobs: Knobs
    model: str = "cato-demo"
    policy: str = "edf"
    outage: Outage = field(default_factory=Outage)
    parser: ParserHere = field(default_factory=ParserHere)
    thrones: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, *, knobs: Knobs | None = None, policy: str = "edf", beside: "Pool | None" = None
    ) -> AsyncIterator["Pool"]:
        """One scheduler that already leads; `beside` another pool it serves `large`."""
        clock = LeapingClock(start_at=1000.0) if beside is None else beside.clock
        pool = cls(
            bus=OutageBus(clock=clock) if beside is None else beside.bus,
            store=MemoryStore(),
            clock=clock,
            replies=LiveIngresses(),
            knobs=knobs or Knobs(),
            model="cato-demo" if beside is None else "large",
            policy=policy,
        )
        await pool.crown("scheduler-1")
        try:
            yield pool
        finally:
            for name in tuple(pool.thrones):
                await pool.kill(name)

    async def crown(self, name: str) -> Throne:
        """Let one more scheduler stand; returns when it leads or, as a standby, after a while."""
        throne = Throne(
            queue=OutageQueue(self.clock, self.store, self.outage),
            bus=self.bus,
            clock=self.clock,
            replies=self.replies,
            candidate=Candidate(
                name=name,
                model=self.model,
                leader_ttl_s=2.0,
                knobs=self.knobs,
                new_backlog=lambda: a_backlog(policy=self.policy),
                parser=self.parser,
            ),
        )
        self.thrones[name] = asyncio.create_task(throne.stand())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(throne.standing.leads.wait(), 3)
        return throne

    async def kill(self, name: str) -> None:
        """Without a word: a dead leader does not resign."""
        leader = self.store.leader
        throne = self.thrones.pop(name)
        throne.cancel()
        await asyncio.gather(throne, return_exceptions=True)
        self.store.leader = leader

    async def submit(self, *tasks: Task) -> None:
        body = Body(route="completions", prompt="def f():", max_tokens=8)
        for task in tasks:
            await self.bus.publish(TaskClassified(task=task, body=body))

    async def cancel(self, task_id: str) -> None:
        await self.bus.publish(TaskCancelled(task_id=TaskId(task_id), at=self.clock.now()))

    def told(self, kind: type[M]) -> list[M]:
        return [message for message in self.bus.published if isinstance(message, kind)]

    def outcomes(self) -> dict[str, Outcome]:
        endings = self.told(TaskEnded)
        assert len({ending.task_id for ending in endings}) == len(endings), "a task ended twice"
        return {str(ending.task_id): ending.outcome for ending in endings}

    async def until(self, is_so: Callable[[], bool], *, within_s: float, saying: str) -> None:
        limit_at = self.clock.now() + within_s
        while not is_so():
            assert self.clock.now() < limit_at, f"not within {within_s:g} s: {saying}"
            await asyncio.sleep(0.005)


@dataclass(slots=True, kw_only=True)
class ScriptedWorker:
    """Reports as a worker does; runs nothing by itself."""

    pool: Pool
    name: str = "worker"
    incarnation: str = "1"
    model: str = "cato-demo"
    slots: int = 4
    context_tokens: int | None = None
    admitted: int | None = None
    running: dict[TaskId, TaskDispatched] = field(default_factory=dict)
    streamed: set[TaskId] = field(default_factory=set)
    reporting: asyncio.Task[None] | None = None

    async def start(self) -> "ScriptedWorker":
        self.reporting = asyncio.create_task(self._keep_reporting())
        await self.pool.until(
            lambda: self.admitted is not None, within_s=2, saying=f"{self.name} is admitted"
        )
        return self

    async def vanish(self) -> None:
        """No report any more, and nothing finished."""
        assert self.reporting is not None
        self.reporting.cancel()
        await asyncio.gather(self.reporting, return_exceptions=True)

    def mine(self) -> list[TaskDispatched]:
        return [
            dispatched
            for dispatched in self.pool.told(TaskDispatched)
            if dispatched.worker == f"{self.name}/{self.incarnation}"
        ]

    async def take(self, task_id: str) -> TaskDispatched:
        """Wait until the task comes, and list it from now on."""
        await self.pool.until(
            lambda: any(one.task.id == task_id for one in self.mine()),
            within_s=5,
            saying=f"{task_id} comes to {self.name}",
        )
        dispatched = next(one for one in reversed(self.mine()) if one.task.id == task_id)
        self.running[dispatched.task.id] = dispatched
        return dispatched

    async def end(
        self,
        task_id: str,
        result: Attempt = Attempt.COMPLETED,
        *,
        output: str | None = None,
        cached_tokens: int = 0,
    ) -> None:
        dispatched = self.running.pop(TaskId(task_id))
        now = self.pool.clock.now()
        await self.pool.bus.publish(
            AttemptEnded(
                task_id=dispatched.task.id,
                fence=dispatched.fence,
                worker=dispatched.worker,
                result=result,
                ended_at=now,
                first_token_at=now if result is Attempt.COMPLETED else None,
                last_token_at=now if result is Attempt.COMPLETED else None,
                usage=Usage(prompt_tokens=10, completion_tokens=8, cached_tokens=cached_tokens),
                error=None if result is Attempt.COMPLETED else "the engine said no",
                output=output,
            )
        )

    async def _keep_reporting(self) -> None:
        while True:
            await self.pool.bus.publish(self.report())
            await asyncio.sleep(0.1)
            for admitted in self.pool.told(WorkerAdmitted):
                if (admitted.worker, admitted.incarnation) == (self.name, self.incarnation):
                    self.admitted = admitted.to_partition

    def report(self) -> WorkerReported:
        return WorkerReported(
            worker=self.name,
            incarnation=self.incarnation,
            model=self.model,
            at=self.pool.clock.now(),
            to_partition=self.admitted,
            slots=self.slots,
            context_tokens=self.context_tokens,
            profile="reference",
            tasks=tuple(self._listed()),
        )

    def _listed(self) -> Iterable[RunningTask]:
        for task_id, dispatched in self.running.items():
            yield RunningTask(
                task_id=task_id, fence=dispatched.fence, streamed=task_id in self.streamed
            )


class Garbage(Message):
    """What a confused client of Kafka might write to any topic."""

    on: str

    def topic(self) -> str:
        return self.on

    def partition(self) -> int:
        return 0

    def encode(self) -> bytes:
        return b'{"garbage": '


def revoked(pool: Pool) -> set[str]:
    return {str(message.task_id) for message in pool.told(TaskRevoked)}
