"""One scheduler leads a pool, the others stand by hot and begin where the last leader died."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from zlib import crc32

from services.scheduler.chains import Chains, Parser
from services.scheduler.endings import Endings
from services.scheduler.fleet import Fleet
from services.scheduler.measures import Measures
from services.scheduler.mirror import Mirror
from services.scheduler.outlook import Foresight, Outlook
from services.scheduler.rebuild import Rebuild
from services.scheduler.scheduler import Knobs, Scheduler
from services.scheduler.watch import ReplyLeases, Watch, consumer_group
from shared.domain.clock import Clock
from shared.domain.errors import Deposed, Unavailable
from shared.domain.task import LatencyClass
from shared.messages.bus import Bus, Record, Start, Subscription
from shared.messages.catalogue import AttemptEnded, TaskCancelled, TaskClassified, TaskDispatched
from shared.messages.message import Message
from shared.messages.pool import DeadLettered, LeaderElected, WorkerReported
from shared.scheduling.backlog import Backlog
from shared.scheduling.queue import DeadlineQueue, Snapshot
from shared.telemetry import instruments, names

log = logging.getLogger(__name__)

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Who stands for leadership of which pool, and the rules it would lead by."""

    name: str
    model: str
    leader_ttl_s: float
    knobs: Knobs
    new_backlog: Callable[[], Backlog]
    parser: Parser
    foresight: Foresight = field(default_factory=Foresight)


@dataclass(slots=True)
class Standing:
    """`is_ready`: it leads, or it knows that somebody else does; `mirror`: of its last reign, until
    somebody else leads."""

    leads: asyncio.Event = field(default_factory=asyncio.Event)
    is_ready: bool = False
    mirror: Mirror | None = None

    def awaited(self, now: float, lease_s: float) -> frozenset[str] | None:
        """Workers that ran something for us until now; None where we cannot know."""
        if self.mirror is None:
            return None
        busy = (name for name, held in self.mirror.by_worker.items() if held)
        is_silent = self.mirror.fleet.is_silent
        return frozenset(name for name in busy if not is_silent(name, now, lease_s))


@dataclass(slots=True, kw_only=True)
class Throne:
    queue: DeadlineQueue
    bus: Bus
    clock: Clock
    replies: ReplyLeases
    candidate: Candidate
    standing: Standing = field(default_factory=Standing)

    async def stand(self) -> None:
        """Lead whenever elected, stand by otherwise; until cancelled."""
        try:
            while True:
                if await self._is_elected():
                    await self._lead()
                await self.clock.sleep(self.candidate.leader_ttl_s / 8)
        finally:
            await asyncio.shield(self._resign())

    async def _is_elected(self) -> bool:
        try:
            is_elected = await self.queue.elect(self.candidate.name, self.candidate.leader_ttl_s)
            self.standing.is_ready = not is_elected
            if not is_elected:
                self.standing.mirror = None
            return is_elected
        except Unavailable as error:
            log.warning("election postponed", extra={"reason": str(error)})
            return False

    async def _lead(self) -> None:
        try:
            await self._reign()
        except* (Deposed, Unavailable) as errors:
            reasons = [str(error) for error in errors.exceptions]
            log.warning("reign over", extra={"reasons": reasons})
            # Another may reach what this one cannot.
            await self._resign()
        finally:
            self.standing.leads.clear()
            instruments.leadership.set(0, {names.MODEL: self.candidate.model})
            Measures(model=self.candidate.model).rest()

    async def _resign(self) -> None:
        with contextlib.suppress(Unavailable):
            await self.queue.resign(self.candidate.name)

    async def _reign(self) -> None:
        async with asyncio.TaskGroup() as group:
            # Renewed from the first moment: a rebuild may take longer than the lease lives.
            group.create_task(self._stay_elected())
            epoch, snapshot = await self._begun()
            scheduler = await self._scheduler(snapshot)
            self.standing.mirror = scheduler.mirror
            await scheduler.endings.resume(snapshot.endings)
            await scheduler.chains.resume(snapshot.answers)
            watch = Watch(
                scheduler=scheduler,
                replies=self.replies,
                model=self.candidate.model,
                epoch=epoch,
                outlook=Outlook(foresight=self.candidate.foresight),
            )
            for work in self._work(scheduler, watch):
                group.create_task(work)
            log.info("leading", extra={"epoch": epoch, "tasks": len(scheduler.mirror.origins)})
            instruments.leadership.set(1, {names.MODEL: self.candidate.model})
            self.standing.leads.set()
            self.standing.is_ready = True

    async def _begun(self) -> tuple[int, Snapshot]:
        """Under the first epoch that is new to Redis: a Kafka that was emptied counts anew."""
        while True:
            epoch = await self._new_epoch()
            try:
                return epoch, await self._opened(epoch)
            except Deposed:
                # While this one is elected, whoever had the newer epoch leads no more.
                if not await self.queue.elect(self.candidate.name, self.candidate.leader_ttl_s):
                    raise

    async def _new_epoch(self) -> int:
        """The offset of a record in Kafka: unique, growing, and never lost with Redis."""
        elected = LeaderElected(
            model=self.candidate.model, leader=self.candidate.name, at=self.clock.now()
        )
        return (await (await self.bus.publish(elected))).offset

    async def _opened(self, epoch: int) -> Snapshot:
        snapshot = await self.queue.open(epoch)
        if snapshot.is_intact:
            return snapshot
        lease_s = self.candidate.knobs.lease_s
        rebuild = Rebuild(
            queue=self.queue,
            bus=self.bus,
            clock=self.clock,
            model=self.candidate.model,
            awaited=self.standing.awaited(self.clock.now(), lease_s),
            lease_s=lease_s,
        )
        return await rebuild.run(epoch, snapshot)

    async def _scheduler(self, snapshot: Snapshot) -> Scheduler:
        partitions = await self.bus.partitions(TaskDispatched.base_topic)
        mirror = Mirror(
            backlog=self.candidate.new_backlog(),
            fleet=Fleet(
                partitions=partitions, first=crc32(self.candidate.model.encode()) % partitions
            ),
        )
        for task in snapshot.waiting:
            mirror.wait(task, origin=None, size=0)
        for task, lease in snapshot.running:
            mirror.lend(task, lease)
        endings = Endings(
            queue=self.queue,
            bus=self.bus,
            clock=self.clock,
            mirror=mirror,
            measures=Measures(model=self.candidate.model),
        )
        return Scheduler(
            queue=self.queue,
            bus=self.bus,
            mirror=mirror,
            endings=endings,
            chains=Chains(queue=self.queue, endings=endings, parser=self.candidate.parser),
            knobs=self.candidate.knobs,
        )

    def _work(self, scheduler: Scheduler, watch: Watch) -> Iterator[Coroutine[None, None, None]]:
        for latency_class in LatencyClass:
            topic = TaskClassified.topic_of(latency_class)
            yield self._read(TaskClassified, topic, scheduler.enqueue)
        yield self._read(TaskCancelled, TaskCancelled.base_topic, scheduler.cancel)
        yield self._read(DeadLettered, DeadLettered.base_topic, scheduler.mourn, patience_s=1.0)
        yield self._read(AttemptEnded, AttemptEnded.base_topic, scheduler.conclude)
        yield self._listen(scheduler)
        yield scheduler.keep_stepping()
        yield scheduler.endings.confirm()
        # Two, so that one answer which is slow to parse does not keep all others waiting.
        yield scheduler.chains.keep_checking()
        yield scheduler.chains.keep_checking()
        yield watch.keep()
        yield watch.keep_slowly()

    async def _read(
        self,
        message: type[M],
        topic: str,
        handle: Callable[[Sequence[Record[M]]], Awaitable[None]],
        *,
        patience_s: float = 0.0,
    ) -> None:
        """All partitions, without a group's slow rebalance: the epoch keeps a second reader out."""
        partitions = frozenset(range(await self.bus.partitions(topic)))
        group = consumer_group(self.candidate.model)
        await self.bus.consume(
            Subscription(
                message=message,
                topic=topic,
                group=group,
                partitions=partitions,
                patience_s=patience_s,
            ),
            handle,
        )

    async def _listen(self, scheduler: Scheduler) -> None:
        def begin_to_judge() -> None:
            scheduler.mirror.fleet.watched_since = self.clock.now()

        topic = WorkerReported.base_topic
        await self.bus.consume(
            Subscription(message=WorkerReported, topic=topic, start=Start.LATEST),
            scheduler.hear,
            caught_up=begin_to_judge,
        )

    async def _stay_elected(self) -> None:
        while True:
            await self.clock.sleep(self.candidate.leader_ttl_s / 4)
            try:
                if not await self.queue.elect(self.candidate.name, self.candidate.leader_ttl_s):
                    raise Deposed("the lease of leadership went to another scheduler")
            except Unavailable as error:
                # Nobody can be elected either while Redis is away, and nothing is written.
                log.warning("leadership not renewed", extra={"reason": str(error)})
