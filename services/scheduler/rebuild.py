"""When Redis has lost its memory, Kafka has not: what was accepted and not ended is put back."""

import asyncio
import logging
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from services.scheduler.fleet import wire_name
from services.scheduler.scheduler import encoded_body
from services.scheduler.watch import low_water_group
from shared.domain.clock import Clock
from shared.domain.errors import Unavailable
from shared.domain.task import LatencyClass, TaskId
from shared.messages.bus import Bus, Record, Start, Subscription
from shared.messages.catalogue import TaskClassified, TaskEnded
from shared.messages.pool import RunningTask, WorkerReported
from shared.scheduling.queue import DeadlineQueue, Entry, Lease, Snapshot
from shared.telemetry import instruments, names

log = logging.getLogger(__name__)

# Every worker reports at least every 100 ms; one that is silent for this long runs nothing for us.
_LISTEN_S = 0.5
_CONNECT_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    queue: DeadlineQueue
    bus: Bus
    clock: Clock
    model: str

    async def run(self, epoch: int, kept: Snapshot) -> Snapshot:
        """Accepted, minus ended, minus what workers say they run (their leases are adopted).

        `kept` is what the store still says; it may have forgotten that a task has ended.
        """
        running = await self._running()
        accepted = await self._accepted()
        held = {*(task.id for task in kept.waiting), *(task.id for task, _ in kept.running)}
        ended = await self._ended(accepted.keys() | held)
        living = {task_id: entry for task_id, entry in accepted.items() if task_id not in ended}
        for task_id, entry in living.items():
            if task_id in running:
                await self.queue.adopt(entry, running[task_id])
        await self.queue.put([entry for task_id, entry in living.items() if task_id not in running])
        await self._forget({task_id: ended[task_id] for task_id in ended.keys() & held})
        await self.queue.seal()
        instruments.rebuilds.add(1, {names.MODEL: self.model})
        log.info("store rebuilt from Kafka", extra={"tasks": len(living)})
        return await self.queue.open(epoch)

    async def _forget(self, ended: Mapping[TaskId, bytes]) -> None:
        """The store lost its last second, and with it that these have ended and who was told."""
        for task_id, ending in ended.items():
            await self.queue.settle(task_id, None, ending)
        await self.queue.told(tuple(ended))

    async def _accepted(self) -> Mapping[TaskId, Entry]:
        found: dict[TaskId, Entry] = {}
        for latency_class in LatencyClass:
            topic = TaskClassified.topic_of(latency_class)
            since = await self.bus.committed(topic, low_water_group(self.model))
            subscription = Subscription(message=TaskClassified, topic=topic)
            async for record in self.bus.replay(subscription, since=since):
                task, body = record.message.task, record.message.body
                if task.model == self.model:
                    found[task.id] = Entry(task=task, body=encoded_body(body))
        return found

    async def _ended(self, asked: Set[TaskId]) -> Mapping[TaskId, bytes]:
        """How those ended that have, as it was told."""
        subscription = Subscription(message=TaskEnded, topic=TaskEnded.base_topic)
        return {
            record.message.task_id: record.message.encode()
            async for record in self.bus.replay(subscription)
            if record.message.task_id in asked
        }

    async def _running(self) -> Mapping[TaskId, Lease]:
        leases: dict[TaskId, Lease] = {}

        async def note(records: Sequence[Record[WorkerReported]]) -> None:
            for record in records:
                for running in record.message.tasks:
                    lease = self._lease(record.message, running)
                    known = leases.setdefault(running.task_id, lease)
                    if lease.fence > known.fence:
                        leases[running.task_id] = lease

        subscription = Subscription(
            message=WorkerReported, topic=WorkerReported.base_topic, start=Start.LATEST
        )
        begun = asyncio.Event()
        listening = asyncio.create_task(self.bus.consume(subscription, note, caught_up=begun.set))
        try:
            await self._listen(begun)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        return leases

    async def _listen(self, begun: asyncio.Event) -> None:
        """Connecting takes its time; only from then on silence says something."""
        try:
            async with asyncio.timeout(_CONNECT_WITHIN_S):
                await begun.wait()
        except TimeoutError as error:
            raise Unavailable("the reports of workers cannot be read") from error
        await self.clock.sleep(_LISTEN_S)

    def _lease(self, report: WorkerReported, running: RunningTask) -> Lease:
        return Lease(
            task_id=running.task_id,
            fence=running.fence,
            worker=wire_name(report),
            to_partition=report.to_partition or 0,
            at=self.clock.now(),
        )
