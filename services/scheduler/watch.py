"""The watch looks after what no message announces: silence, lost dispatches, vanished clients."""

import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from services.scheduler.mirror import Held
from services.scheduler.outlook import Outlook
from services.scheduler.scheduler import Scheduler
from shared.domain.errors import Deposed, Unavailable
from shared.domain.outcome import Outcome
from shared.domain.task import LatencyClass, ReplyAddress, Task
from shared.messages.catalogue import TaskClassified
from shared.messages.pool import BacklogReported, ClassBacklog
from shared.scheduling.forecast import Wait, forecast
from shared.telemetry import instruments

log = logging.getLogger(__name__)

_BEAT_S = 0.1
_OUTLOOK_BEATS = 10  # once a second
_SLOW_BEAT_S = 1.0
_RESEND_AFTER_S = 0.3
# Each carries the whole prompt, and a worker that is slow to read needs no more of them.
_RESEND_EVERY_S = 1.0
_LISTEN_S = 1.0
# Longer than a reply lease lives: an ingress that only lost Redis for a while keeps its tasks.
_CLIENT_GONE_AFTER_S = 15.0
_OVERSLEPT_S = 1.0

Duty = Callable[[float], Coroutine[object, object, None]]


class ReplyLeases(Protocol):
    async def live(self) -> Mapping[int, str]:
        """Reply partition -> incarnation of the ingress that leases it."""
        ...


@dataclass(slots=True, kw_only=True)
class Watch:
    scheduler: Scheduler
    replies: ReplyLeases
    model: str
    epoch: int
    outlook: Outlook = field(default_factory=Outlook)
    gone_since: dict[ReplyAddress, float] = field(default_factory=dict)

    async def keep(self) -> None:
        """What cannot wait, beat by beat until cancelled."""
        for beat in count(1):
            await self._pause()
            if beat % _OUTLOOK_BEATS == 0:
                await self._attempt(self._count_workers)
            for duty in (self._take_back_from_the_silent, self._chase_dispatches, self._report):
                await self._attempt(duty)

    async def keep_slowly(self) -> None:
        """Beside it what asks Kafka or Redis, which may take long to answer; until cancelled.

        Raises Deposed when the store was lost and must be rebuilt.
        """
        while True:
            await self.scheduler.endings.clock.sleep(_SLOW_BEAT_S)
            for duty in (
                self._check_store,
                self._cancel_for_vanished_clients,
                self._mark_low_water,
            ):
                await self._attempt(duty)

    async def _pause(self) -> None:
        clock = self.scheduler.endings.clock
        began_at = clock.now()
        await clock.sleep(_BEAT_S)
        now = clock.now()
        if abs(now - began_at - _BEAT_S) > _OVERSLEPT_S:
            log.warning("time leapt; listening anew", extra={"by_s": now - began_at})
            self.scheduler.mirror.fleet.listen_anew(now)

    async def _attempt(self, duty: Duty) -> None:
        """One that fails keeps nobody from the others."""
        try:
            await duty(self.scheduler.endings.clock.now())
        except Unavailable as error:
            log.warning("duty postponed", extra={"duty": duty.__name__, "reason": str(error)})

    async def _check_store(self, _: float) -> None:
        if not await self.scheduler.queue.is_intact():
            raise Deposed("the store has lost its memory: lead again, and rebuild it from Kafka")

    async def _count_workers(self, now: float) -> None:
        fleet, knobs = self.scheduler.mirror.fleet, self.scheduler.knobs
        listening = sum(1 for _ in fleet.listening(now, knobs.suspect_s))
        draining = sum(seat.report.draining for seat in fleet.seats.values())
        silent = len(fleet.seats) - listening - draining
        self.scheduler.measures.workers(listening=listening, silent=silent, draining=draining)
        self.outlook.look_ahead(self.scheduler.mirror, fleet=listening, now=now)

    async def _take_back_from_the_silent(self, now: float) -> None:
        mirror, knobs = self.scheduler.mirror, self.scheduler.knobs
        for worker in {*mirror.by_worker, *mirror.fleet.seats}:
            if mirror.fleet.is_gone(worker, now, knobs.lease_s):
                log.warning("worker lost", extra={"worker": worker})
                instruments.expired_leases.add(len(mirror.by_worker[worker]))
                await self.scheduler.abandon(worker)

    async def _chase_dispatches(self, now: float) -> None:
        for held in tuple(self.scheduler.mirror.held.values()):
            if self._is_overdue(held, now):
                await self._chase(held, now)

    def _is_overdue(self, held: Held, now: float) -> bool:
        """Its worker speaks, but not of this task."""
        since = self._unlisted_since(held)
        seat = self.scheduler.mirror.fleet.seats.get(held.lease.worker)
        return seat is not None and seat.heard_at - since > _RESEND_AFTER_S and now > since

    def _unlisted_since(self, held: Held) -> float:
        """A new leader may still have to read that it has ended."""
        since = held.lease.at if held.reported_at is None else held.reported_at
        return max(since, self.scheduler.mirror.fleet.watched_since)

    async def _chase(self, held: Held, now: float) -> None:
        if now - self._unlisted_since(held) > self.scheduler.knobs.lease_s:
            await self.scheduler.take_back(held, reason="its worker does not know it")
        elif held.reported_at is None and now - held.sent_again_at > _RESEND_EVERY_S:
            held.sent_again_at = now
            await self.scheduler.dispatch_again(held)

    async def _cancel_for_vanished_clients(self, now: float) -> None:
        live = await self.replies.live()
        seen: dict[ReplyAddress, float] = {}
        vanished: list[Task] = []
        for task in self.scheduler.mirror.living():
            address = task.reply_to
            if task.detached or live.get(address.partition) == address.incarnation:
                continue
            seen[address] = self.gone_since.get(address, now)
            if now - seen[address] > _CLIENT_GONE_AFTER_S:
                vanished.append(task)
        self.gone_since = seen
        for task in vanished:
            await self.scheduler.endings.give_up(task, Outcome.CANCELLED, error="its ingress died")

    async def _mark_low_water(self, _: float) -> None:
        """Where a rebuild has to begin: the oldest living task of each partition."""
        bus = self.scheduler.bus
        for latency_class in LatencyClass:
            topic = TaskClassified.topic_of(latency_class)
            # Asked first: whatever comes before the answer does is in the mirror by then.
            read = await bus.committed(topic, consumer_group(self.model))
            oldest = self.scheduler.mirror.low_water(topic)
            if oldest is None:
                return
            marks = {partition: oldest.get(partition, read[partition]) for partition in read}
            if marks:
                await bus.commit(topic, low_water_group(self.model), marks)

    async def _report(self, now: float) -> None:
        mirror, knobs = self.scheduler.mirror, self.scheduler.knobs
        mirror.learn_costs(now, knobs.lease_s)
        views = mirror.views(now, knobs.lease_s)
        if not views and now - mirror.fleet.watched_since < _LISTEN_S:
            return  # A new leader has heard of nobody yet; that does not mean there is nobody.
        waits = forecast(
            mirror.backlog, views, typical=mirror.typical.values(), pace=self.outlook.pace, now=now
        )
        mirror.waits_s = {klass: wait.wait_s for klass, wait in waits.items()}
        queued, queued_bytes = len(mirror.backlog), mirror.queued_bytes
        step, company = mirror.backlog.cost.profile.step_time, mirror.backlog.cost.company
        report = BacklogReported(
            model=self.model,
            epoch=self.epoch,
            at=now,
            workers=len(views),
            slots=sum(view.slots for view in views),
            queued_bytes=queued_bytes,
            is_full=queued >= knobs.max_queued or queued_bytes >= knobs.max_queued_bytes,
            classes={klass: _on_the_wire(wait) for klass, wait in waits.items()},
            needed=self.outlook.needed,
            context_tokens=mirror.fleet.context_tokens(),
            step_s=step.base_s + step.decode_s * company,
            prompt_token_s=step.prefill_s,
        )
        await self.scheduler.bus.publish(report)
        self.scheduler.measures.holds(report, running=len(mirror.held))
        self.outlook.learn(mirror, workers=len(views), elapsed_s=_BEAT_S, now=now)


def consumer_group(model: str) -> str:
    return f"scheduler.{model}"


def low_water_group(model: str) -> str:
    return f"scheduler.{model}.low-water"


def _on_the_wire(wait: Wait) -> ClassBacklog:
    return ClassBacklog(queued=wait.queued, wait_s=wait.wait_s, work_s=wait.work_s)
