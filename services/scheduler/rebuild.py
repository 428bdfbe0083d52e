"""When Redis has lost its memory, Kafka has not: what was accepted and not ended is put back."""

import asyncio
import logging
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from services.scheduler.entries import entry_of
from services.scheduler.fleet import wire_name
from services.scheduler.watch import consumer_group, low_water_group
from shared.domain.clock import Clock
from shared.domain.errors import Unavailable
from shared.domain.task import LatencyClass, Task, TaskId
from shared.messages.bus import Bus, Record, Start, Subscription
from shared.messages.catalogue import TaskClassified, TaskEnded
from shared.messages.pool import RunningTask, WorkerReported
from shared.scheduling.queue import DeadlineQueue, Entry, Lease, Snapshot
from shared.telemetry import instruments, names

log = logging.getLogger(__name__)

# Every worker reports at least every 100 ms; one that nobody knows and that is silent for this long
# runs nothing for us.
_LISTEN_S = 0.5
_CONNECT_WITHIN_S = 10.0
# By so much the clock that dates the records of Kafka may lag behind the one that dates tasks.
_CLOCKS_APART_S = 300.0


@dataclass(slots=True)
class _Accepted:
    """What was accepted lately; the `unread` will be read again when the reading goes on."""

    entries: dict[TaskId, Entry] = field(default_factory=dict)
    unread: set[TaskId] = field(default_factory=set)

    def note(self, record: Record[TaskClassified], read: Mapping[int, int]) -> None:
        entry = entry_of(record.message)
        self.entries[entry.task.id] = entry
        if record.position.offset >= read.get(record.position.partition, 0):
            self.unread.add(entry.task.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    """`awaited` are workers that lately ran something for us, by their names on the wire: they may
    be silent for a lease, as at any other time. None where we did not lead: it may be anybody."""

    queue: DeadlineQueue
    bus: Bus
    clock: Clock
    model: str
    awaited: Set[str] | None
    lease_s: float

    async def run(self, epoch: int, kept: Snapshot) -> Snapshot:
        """Accepted, minus ended, minus what workers say they run (their leases are adopted).

        `kept` is what the store still says; it may have forgotten that a task has ended.
        """
        accepted = await self._accepted()
        held = {task.id: task for task in (*kept.waiting, *(task for task, _ in kept.running))}
        ended = await self._ended(
            [*held.values(), *(entry.task for entry in accepted.entries.values())]
        )
        living = {i: entry for i, entry in accepted.entries.items() if i not in ended}
        running = await self._running() if living else {}
        for task_id, entry in living.items():
            if task_id in running:
                await self.queue.adopt(entry, running[task_id])
        await self.queue.put([entry for task_id, entry in living.items() if task_id not in running])
        again = {i: ended[i] for i in ended.keys() & (held.keys() | accepted.unread)}
        await self._end_again(again, _steps_in(kept))
        await self.queue.seal()
        instruments.rebuilds.add(1, {names.MODEL: self.model})
        log.info("store rebuilt from Kafka", extra={"tasks": len(living)})
        return await self.queue.open(epoch)

    async def _end_again(
        self, ended: Mapping[TaskId, bytes], steps: Mapping[TaskId, Sequence[TaskId]]
    ) -> None:
        """The store forgot that these have ended; otherwise they would run once more."""
        for task_id, ending in ended.items():
            # What is not queued can be settled once it is barred.
            await self.queue.bar(task_id)
            await self.queue.settle(task_id, None, ending, steps.get(task_id, ()))
        await self.queue.told(tuple(ended))

    async def _accepted(self) -> _Accepted:
        found = _Accepted()
        for latency_class in LatencyClass:
            topic = TaskClassified.topic_of(latency_class)
            since = await self.bus.committed(topic, low_water_group(self.model))
            read = await self.bus.committed(topic, consumer_group(self.model))
            subscription = Subscription(message=TaskClassified, topic=topic)
            async for record in self.bus.replay(subscription, since=since):
                if record.message.task.model == self.model:
                    found.note(record, read)
        return found

    async def _ended(self, asked: Sequence[Task]) -> Mapping[TaskId, bytes]:
        """How those ended that have, as it was told: not before the first of them came."""
        if not asked:
            return {}
        ids, began_at = {task.id for task in asked}, min(task.received_at for task in asked)
        topic = TaskEnded.base_topic
        since = await self.bus.offsets_since(topic, began_at - _CLOCKS_APART_S)
        return {
            record.message.task_id: record.message.encode()
            async for record in self.bus.replay(
                Subscription(message=TaskEnded, topic=topic), since=since
            )
            if record.message.task_id in ids
        }

    async def _running(self) -> Mapping[TaskId, Lease]:
        leases: dict[TaskId, Lease] = {}
        heard: set[str] = set()

        async def note(records: Sequence[Record[WorkerReported]]) -> None:
            for record in records:
                heard.add(wire_name(record.message))
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
            await self._listen(begun, heard)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        return leases

    async def _listen(self, begun: asyncio.Event, heard: Set[str]) -> None:
        """Connecting takes its time; only from then on silence says something."""
        try:
            async with asyncio.timeout(_CONNECT_WITHIN_S):
                await begun.wait()
        except TimeoutError as error:
            raise Unavailable("the reports of workers cannot be read") from error
        began = self.clock.monotonic()
        await self.clock.sleep(_LISTEN_S)
        while self.clock.monotonic() - began < self.lease_s:
            if self.awaited is not None and self.awaited <= heard:
                return
            await self.clock.sleep(_LISTEN_S / 10)

    def _lease(self, report: WorkerReported, running: RunningTask) -> Lease:
        return Lease(
            task_id=running.task_id,
            fence=running.fence,
            worker=wire_name(report),
            to_partition=report.to_partition or 0,
            at=self.clock.now(),
        )


def _steps_in(kept: Snapshot) -> Mapping[TaskId, Sequence[TaskId]]:
    """The steps that wait or run, by chain."""
    steps: dict[TaskId, list[TaskId]] = {}
    for task in (*kept.waiting, *(task for task, _ in kept.running)):
        if task.step is not None:
            steps.setdefault(task.step.chain, []).append(task.id)
    return steps
