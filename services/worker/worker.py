"""A worker runs attempts on its engine, one lease each, and tells everybody how they go."""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from services.worker import measures
from services.worker.attempts import Attempts, Verdict
from services.worker.engine import Engine, Mortal
from services.worker.feeder import Gate
from services.worker.inbox import Inbox
from services.worker.reporter import Reporter
from services.worker.roster import Answer, Identity, Roster, Run, job_id_of
from services.worker.speedometer import Recording
from services.worker.stillness import STUCK_S, Stillness
from services.worker.token_stream import Sender
from shared.domain.clock import Clock
from shared.domain.outcome import Attempt
from shared.messages.bus import Bus, Record
from shared.messages.catalogue import TaskDispatched, TaskRevoked
from shared.scheduling.feeding import Feeder

log = logging.getLogger(__name__)

_WATCH_S: Final = 0.1
# For telling how attempts ended after the work itself is over.
_LAST_WORDS_S: Final = 2.0


@dataclass(slots=True, kw_only=True)
class Worker:
    """Every method is safe to repeat: an attempt is known by its task and fence."""

    attempts: Attempts
    inbox: Inbox
    reporter: Reporter
    gate: Gate
    roster: Roster
    runners: "Runners"

    @classmethod
    def of(
        cls,
        *,
        me: Identity,
        bus: Bus,
        engine: Engine,
        clock: Clock,
        feeder: Feeder,
        recording: Recording | None = None,
        stuck_s: float = STUCK_S,
    ) -> Self:
        roster = Roster()
        inbox = Inbox(me=me, bus=bus, roster_changed=roster.changed)
        sender = Sender(bus=bus, clock=clock)
        gate = Gate(feeder=feeder, engine=engine, clock=clock, roster=roster)
        return cls(
            attempts=Attempts(
                engine=engine,
                bus=bus,
                clock=clock,
                sender=sender,
                recording=recording or Recording(),
                stillness=Stillness(stuck_s),
            ),
            inbox=inbox,
            reporter=Reporter(me=me, bus=bus, clock=clock, gate=gate, roster=roster, inbox=inbox),
            gate=gate,
            roster=roster,
            runners=Runners(),
        )

    @property
    def me(self) -> Identity:
        return self.inbox.me

    def is_ready(self) -> bool:
        return self.inbox.partition is not None and not self.roster.is_draining

    async def serve(self, *, drain_s: float) -> None:
        """Until cancelled, which drains first; raises EngineDied when the engine does."""
        attending = asyncio.create_task(self._attend())
        try:
            await asyncio.wait(
                {attending, self.runners.broken}, return_when=asyncio.FIRST_COMPLETED
            )
            if self.runners.broken.done():
                why = self.runners.broken.exception()
                await self._leave(Attempt.FAILED, within_s=_WATCH_S, because=str(why))
        except asyncio.CancelledError:
            await self._leave(Attempt.RETURNED, within_s=drain_s)
            raise
        finally:
            attending.cancel()
            await asyncio.gather(attending, return_exceptions=True)
        if self.runners.broken.done():
            self.runners.broken.result()
        attending.result()

    async def begin(self, records: Sequence[Record[TaskDispatched]]) -> None:
        now, monotonic = self.attempts.clock.now(), self.attempts.clock.monotonic()
        for record in records:
            message = record.message
            key = message.task.id, message.fence
            if message.worker == self.me.wire_name and self.roster.seen.add(key):
                self._take(
                    Run(
                        id=job_id_of(*key),
                        dispatched=message,
                        received_at=now,
                        leased_until=monotonic + message.lease_s,
                        answer=None if message.task.step is None else Answer(),
                    )
                )
        self.feed()

    async def revoke(self, records: Sequence[Record[TaskRevoked]]) -> None:
        for record in records:
            if record.message.worker == self.me.wire_name:
                await self._revoke(record.message)

    def feed(self) -> None:
        """Let in whom the feeder wants in."""
        free = self.me.slots - len(self.roster.running)
        is_leaving = self.roster.is_draining or self.runners.broken.done()
        if free <= 0 or not self.roster.waiting or is_leaving:
            return
        for run in self.gate.entering(free, self.feed):
            self.roster.begin(run)
            run.runner = self.runners.start(self._run(run))

    def _take(self, run: Run) -> None:
        measures.received(run)
        other = self.roster.newest.get(run.task.id)
        if other is not None and other.dispatched.fence > run.dispatched.fence:
            return  # Sent by a leader who was deposed and did not know it.
        if other is not None:
            # The scheduler gave the older attempt up, or it would not have sent this one.
            self._stop(other, Attempt.ABORTED)
        self.roster.take(run)
        if self.roster.is_draining:
            self._stop(run, Attempt.RETURNED)

    async def _revoke(self, message: TaskRevoked) -> None:
        key = message.task_id, message.fence
        run = self.roster.find(key)
        if run is not None:
            await self.attempts.engine.abort(run.id)
            self._stop(run, Attempt.ABORTED)
        elif self.roster.seen.add(key):
            # It overtook its dispatch, which now counts as seen and is never begun.
            self.runners.start(self.attempts.conclude_unseen(message))

    def _stop(self, run: Run, stopped_as: Attempt | None, because: str | None = None) -> None:
        run.stop(stopped_as, because)
        if run.id in self.roster.waiting:
            self.roster.leave(run)
            self.runners.start(self.attempts.conclude(run, Verdict(result=stopped_as)))

    async def _run(self, run: Run) -> None:
        verdict = await self.attempts.stream(run)
        self.roster.leave(run)
        if verdict.death is not None:
            self.runners.report(verdict.death)
        self.feed()
        await self.attempts.conclude(run, verdict)

    async def _attend(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.inbox.keep_reading(self.begin, self.revoke))
            group.create_task(self.reporter.keep_reporting())
            group.create_task(self.attempts.sender.keep_sending())
            group.create_task(self.attempts.sender.keep_watching())
            group.create_task(self._watch_leases())
            group.create_task(self._watch_engine())

    async def _watch_leases(self) -> None:
        """Stop what we no longer may do, also where the engine is silent and nothing is sent."""
        while True:
            await self.attempts.clock.sleep(_WATCH_S)
            monotonic = self.attempts.clock.monotonic()
            for run in self.roster.runs():
                if monotonic >= run.leased_until:
                    is_begun = run.id in self.roster.running
                    self._stop(run, None if is_begun else Attempt.RETURNED)
            measures.holds(self.attempts.engine.load(), len(self.roster.waiting))

    async def _watch_engine(self) -> None:
        """A worker with a dead engine would be sent a task before it noticed."""
        engine, stillness = self.attempts.engine, self.attempts.stillness
        while True:
            await self.attempts.clock.sleep(_WATCH_S)
            died = engine.death() if isinstance(engine, Mortal) else None
            stuck = stillness.look(_WATCH_S, len(self.roster.running))
            for death in (died, stuck):
                if death is not None:
                    self.runners.report(death)

    async def _leave(
        self, stopped_as: Attempt, *, within_s: float, because: str | None = None
    ) -> None:
        """Hand back what was not begun, let the rest finish, then stop what is left."""
        self.roster.is_draining = True
        self.roster.changed.set()
        for run in tuple(self.roster.waiting.values()):
            self._stop(run, Attempt.RETURNED)
        await self.runners.finish(within_s)
        for run in tuple(self.roster.running.values()):
            self._stop(run, stopped_as, because)
        await self.runners.finish(_LAST_WORDS_S)


@dataclass(slots=True)
class Runners:
    """The coroutines of attempts; `broken` holds the first error that ends the worker."""

    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    broken: "asyncio.Future[None]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def start(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def report(self, error: BaseException) -> None:
        if not self.broken.done():
            self.broken.set_exception(error)

    async def finish(self, within_s: float) -> None:
        if self.tasks:
            await asyncio.wait(tuple(self.tasks), timeout=within_s)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.report(error)
