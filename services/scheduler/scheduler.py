"""The scheduler decides which task runs next and where, and is the only one to end a task."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.scheduler.chains import Chains
from services.scheduler.endings import Endings
from services.scheduler.entries import entry_of
from services.scheduler.fleet import wire_name
from services.scheduler.letters import task_of_letter
from services.scheduler.measures import Measures
from services.scheduler.mirror import Held, Mirror
from shared.domain.errors import Unavailable
from shared.domain.outcome import Attempt, Outcome
from shared.domain.task import Task
from shared.messages.body import Body
from shared.messages.bus import Bus, Record
from shared.messages.catalogue import AttemptEnded, TaskCancelled, TaskClassified, TaskDispatched
from shared.messages.pool import DeadLettered, WorkerAdmitted, WorkerReported
from shared.scheduling.plan import Assignment, plan
from shared.scheduling.queue import Claim, DeadlineQueue, Entry, Lease, Put

log = logging.getLogger(__name__)

_PAUSE_S = 0.2
# What a timer of the loop can tell apart; looking sooner would only spin.
_BREATH_S = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """`lease_s`: silence after which a worker's tasks are taken back; `suspect_s`: silence after
    which it is sent nothing new; `attempts`: how often a task may start; `starvation_s`: nobody
    waits longer while others are served."""

    lease_s: float = 3.0
    suspect_s: float = 0.3
    attempts: int = 3
    starvation_s: float = 60.0
    max_queued: int = 20_000
    max_queued_bytes: int = 128 * 1024 * 1024


@dataclass(slots=True, kw_only=True)
class Scheduler:
    """One reign over one pool; every method is safe to repeat."""

    queue: DeadlineQueue
    bus: Bus
    mirror: Mirror
    endings: Endings
    chains: Chains
    knobs: Knobs

    async def enqueue(self, records: Sequence[Record[TaskClassified]]) -> None:
        entries = {
            record.position: entry_of(record.message)
            for record in records
            if record.message.task.model == self.measures.model
        }
        puts = await self._put(tuple(entries.values()))
        # All are noted before any is welcomed: that may fail, and the next time they are known.
        for (position, entry), put in zip(entries.items(), puts, strict=True):
            self.mirror.note(entry, put, position)
        for entry, put in zip(entries.values(), puts, strict=True):
            await self._welcome(entry.task, put)
        self.mirror.changed.set()

    async def cancel(self, records: Sequence[Record[TaskCancelled]]) -> None:
        for record in records:
            if record.message.model not in (None, self.measures.model):
                continue
            task = self.mirror.task(record.message.task_id)
            if task is None:
                self.mirror.arrivals.cancel(record.message.task_id)
                await self.queue.bar(record.message.task_id)
            else:
                await self.endings.give_up(task, Outcome.CANCELLED)

    async def hear(self, records: Sequence[Record[WorkerReported]]) -> None:
        for record in records:
            report = record.message
            if report.model != self.measures.model:
                continue
            seat = self.mirror.fleet.hear(report, self._now())
            if seat is None:
                log.error("no dispatch partition is free", extra={"worker": report.worker})
                continue
            if report.to_partition != seat.to_partition:
                await self._admit(report, seat.to_partition)
            self._note_running(report)
        self.mirror.changed.set()

    async def conclude(self, records: Sequence[Record[AttemptEnded]]) -> None:
        """All are done before any failure is told: none may go on into another reign."""
        concluding = (self._conclude(record.message) for record in records)
        for result in await asyncio.gather(*concluding, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def mourn(self, records: Sequence[Record[DeadLettered]]) -> None:
        """A task whose record nobody could handle was accepted all the same: it has to end."""
        for record in records:
            task = await task_of_letter(record.message, self.bus)
            if task is None or task.model != self.measures.model:
                continue
            if self.mirror.task(task.id) is None:
                # What was never queued can be settled once it is barred.
                await self.queue.bar(task.id)
                await self.endings.give_up(task, Outcome.DEAD_LETTERED, error=record.message.reason)

    async def step(self) -> float:
        """Plan on the mirror, then act: an atomic claim each, then the dispatch.

        Returns when to look again if nothing happens.
        """
        now = self._now()
        views = self.mirror.views(now, self.knobs.suspect_s)
        decided = plan(
            self.mirror.backlog,
            views,
            now=now,
            starvation_s=self.knobs.starvation_s,
            home_of=self.mirror.home_among(views, now),
        )
        for task in decided.expired:
            await self.endings.give_up(task, Outcome.EXPIRED)
        for task in decided.shed:
            await self.endings.give_up(task, Outcome.SHED)
        if decided.dispatch:
            await self._dispatch(decided.dispatch, now)
        return decided.look_again_at

    async def keep_stepping(self) -> None:
        """A step on every change, and one a while later, because worth runs out unannounced."""
        pause_s = _PAUSE_S
        while True:
            try:
                async with asyncio.timeout(pause_s):
                    await self.mirror.changed.wait()
            except TimeoutError:
                pass
            self.mirror.changed.clear()
            began = self.endings.clock.monotonic()
            try:
                look_again_at = await self.step()
                pause_s = min(_PAUSE_S, max(_BREATH_S, look_again_at - self._now()))
                step_s = self.endings.clock.monotonic() - began
                self.measures.stepped(step_s, self.mirror.backlog.guard)
            except Unavailable as error:
                log.warning("step postponed", extra={"reason": str(error)})
                await self.endings.clock.sleep(_PAUSE_S)
                self.mirror.changed.set()

    async def abandon(self, worker: str) -> None:
        """The worker is dead, or as good as dead: take back all it has."""
        for task_id in tuple(self.mirror.by_worker[worker]):
            # Listed until it is taken back: this may fail halfway and be repeated.
            if (held := self.mirror.held.get(task_id)) is not None:
                await self.take_back(held, reason="its worker was lost")
        self.mirror.dismiss(worker)

    async def take_back(self, held: Held, *, reason: str, is_start: bool = True) -> None:
        """Queue it again unless the client has read from it, or it was started too often."""
        if self.mirror.speaker(held.task.id, held.lease.fence) is None:
            return  # It ended meanwhile, or somebody else took it back.
        task = replace(held.task, attempts=held.task.attempts + (1 if is_start else 0))
        # What a step says reaches no client before the chain is done.
        if held.streamed and task.step is None:
            await self.endings.give_up(task, Outcome.FAILED, error=f"{reason} after it had begun")
        elif task.attempts >= self.knobs.attempts:
            await self.endings.dead_letter(task, reason)
        elif await self.queue.requeue(task, held.lease.fence):
            self.mirror.wait_again(task)
            self.mirror.changed.set()
            # Only now: whoever is deposed without knowing it may stop nobody.
            await self.endings.revoke(held.lease)

    async def dispatch_again(self, held: Held) -> None:
        """The worker never listed it: the record may never have been written."""
        body = await self.queue.body(held.task.id)
        if body is not None:
            await self._send(held, body)

    @property
    def measures(self) -> Measures:
        return self.endings.measures

    def _now(self) -> float:
        return self.endings.clock.now()

    async def _welcome(self, task: Task, put: Put) -> None:
        if put is Put.CANCELLED or self.mirror.arrivals.is_cancelled(task.id):
            await self.endings.give_up(task, Outcome.CANCELLED)
            return
        if task.stages:
            await self.chains.begin(task)
        if task.supersedes and task.session is not None:
            for older in self.mirror.superseded(task.session):
                await self.endings.give_up(older, Outcome.SUPERSEDED)

    async def _put(self, entries: Sequence[Entry]) -> Sequence[Put]:
        """Redis has them before the mirror does; a cancellation that comes between is kept."""
        ids = [entry.task.id for entry in entries]
        self.mirror.arrivals.expect(ids)
        puts = await self.queue.put(entries)
        self.mirror.arrivals.came(ids)
        return puts

    async def _dispatch(self, assignments: Sequence[Assignment], now: float) -> None:
        claims = [
            Claim(
                task_id=assignment.task.id,
                worker=assignment.worker.name,
                to_partition=assignment.worker.to_partition,
                at=now,
            )
            for assignment in assignments
        ]
        answers = tuple(zip(assignments, await self.queue.claim(claims), strict=True))
        # All are noted before any is sent: what is not sent now is sent by the watch.
        for assignment, answer in answers:
            self._lend(assignment, answer, now)
        for assignment, answer in answers:
            await self._start(assignment.task, answer)

    def _lend(self, sent: Assignment, claimed: tuple[Lease, bytes] | None, now: float) -> None:
        task = sent.task
        if claimed is None or task.id not in self.mirror.backlog:
            return  # It may have ended while it was being claimed, and its lease with it.
        held = self.mirror.lend(task, claimed[0])
        held.known_tokens = self.mirror.homes.sent(task, sent.worker)
        self.mirror.fleet.served(claimed[0].worker, now)
        self.measures.claimed(task, now)

    async def _start(self, task: Task, claimed: tuple[Lease, bytes] | None) -> None:
        if claimed is not None:
            lease, body = claimed
            held = self.mirror.speaker(task.id, lease.fence)
            if held is not None:
                await self._send(held, body)
        elif task.id in self.mirror.backlog:
            await self.endings.give_up(task, Outcome.FAILED, error="its body is no longer kept")

    async def _send(self, held: Held, body: bytes) -> None:
        task, lease, backlog = held.task, held.lease, self.mirror.backlog
        priority = backlog.guard.engine_priority(task, backlog.cost)
        await self.bus.publish(
            TaskDispatched(
                task=replace(task, priority=priority),
                body=Body.model_validate_json(body),
                fence=lease.fence,
                cached_tokens=self.mirror.cached_tokens(held),
                worker=lease.worker,
                to_partition=lease.to_partition,
                dispatched_at=lease.at,
                lease_s=self.knobs.lease_s,
            )
        )

    async def _conclude(self, attempt: AttemptEnded) -> None:
        held = self.mirror.speaker(attempt.task_id, attempt.fence)
        if held is None:
            if attempt.worker in self.mirror.fleet.seats:
                self.measures.used_for_nothing(attempt)
            return
        held.streamed |= attempt.first_token_at is not None
        self.mirror.homes.learn(held.known_tokens, attempt.cached_tokens)
        match attempt.result:
            case Attempt.COMPLETED if held.task.step is None:
                await self.endings.finish(held.task, attempt)
            case Attempt.COMPLETED if attempt.output is not None:
                await self.chains.conclude(held.task, attempt)
            case Attempt.REFUSED:
                await self.endings.give_up(
                    held.task, Outcome.FAILED, error=attempt.error, is_refused=True
                )
            case Attempt.FAILED | Attempt.COMPLETED:
                await self.take_back(held, reason=attempt.error or "it brought no answer back")
            case Attempt.RETURNED | Attempt.ABORTED:
                await self.take_back(held, reason="the worker gave it back", is_start=False)

    async def _admit(self, report: WorkerReported, to_partition: int) -> None:
        await self.bus.publish(
            WorkerAdmitted(
                worker=report.worker, incarnation=report.incarnation, to_partition=to_partition
            )
        )

    def _note_running(self, report: WorkerReported) -> None:
        now = self._now()
        for running in report.tasks:
            held = self.mirror.speaker(running.task_id, running.fence)
            if held is not None and held.lease.worker == wire_name(report):
                self.mirror.heard(held, now)
                held.streamed |= running.streamed
