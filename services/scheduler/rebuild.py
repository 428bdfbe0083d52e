"""When Redis has lost its memory, Kafka has not: what was accepted and not ended is put back."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.scheduler.fleet import wire_name
from services.scheduler.scheduler import encoded_body
from services.scheduler.watch import low_water_group
from shared.domain.clock import Clock
from shared.domain.task import LatencyClass, TaskId
from shared.messages.bus import Bus, Record, Start, Subscription
from shared.messages.catalogue import TaskClassified, TaskEnded
from shared.messages.pool import RunningTask, WorkerReported
from shared.scheduling.queue import DeadlineQueue, Entry, Lease, Snapshot
from shared.telemetry import instruments, names

log = logging.getLogger(__name__)

# Every worker reports at least every 100 ms; one that is silent for this long runs nothing for us.
_LISTEN_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    queue: DeadlineQueue
    bus: Bus
    clock: Clock
    model: str

    async def run(self, epoch: int) -> Snapshot:
        """Accepted, minus ended, minus what workers say they run (their leases are adopted)."""
        running = await self._running()
        accepted = await self._accepted()
        ended = await self._ended()
        living = {task_id: entry for task_id, entry in accepted.items() if task_id not in ended}
        for task_id, entry in living.items():
            if task_id in running:
                await self.queue.adopt(entry, running[task_id])
        await self.queue.put([entry for task_id, entry in living.items() if task_id not in running])
        await self.queue.seal()
        instruments.rebuilds.add(1, {names.MODEL: self.model})
        log.info("store rebuilt from Kafka", extra={"tasks": len(living)})
        return await self.queue.open(epoch)

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

    async def _ended(self) -> frozenset[TaskId]:
        subscription = Subscription(message=TaskEnded, topic=TaskEnded.base_topic)
        return frozenset([record.message.task_id async for record in self.bus.replay(subscription)])

    async def _running(self) -> Mapping[TaskId, Lease]:
        leases: dict[TaskId, Lease] = {}

        async def note(records: Sequence[Record[WorkerReported]]) -> None:
            for record in records:
                for running in record.message.tasks:
                    leases[running.task_id] = self._lease(record.message, running)

        subscription = Subscription(
            message=WorkerReported, topic=WorkerReported.base_topic, start=Start.LATEST
        )
        listening = asyncio.create_task(self.bus.consume(subscription, note))
        await self.clock.sleep(_LISTEN_S)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        return leases

    def _lease(self, report: WorkerReported, running: RunningTask) -> Lease:
        return Lease(
            task_id=running.task_id,
            fence=running.fence,
            worker=wire_name(report),
            to_partition=report.to_partition or 0,
            at=self.clock.now(),
        )
