"""Reports say that a worker lives and what it holds; when acknowledged, they renew its leases."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from services.worker.feeder import Gate
from services.worker.inbox import Inbox
from services.worker.roster import Identity, Roster, Run
from shared.domain.clock import Clock
from shared.domain.errors import Unavailable
from shared.messages.bus import Bus, Position
from shared.messages.pool import WorkerReported

log = logging.getLogger(__name__)

_PERIOD_S: Final = 0.1
_PERIOD_UNSEATED_S: Final = 0.5
# Starts and ends share a report, so that reports never cost more than the work: the scheduler
# knows of both already, from its claims and from the attempts' ends.
_APART_S: Final = 0.05


@dataclass(slots=True, kw_only=True)
class Reporter:
    me: Identity
    bus: Bus
    clock: Clock
    gate: Gate
    roster: Roster
    inbox: Inbox

    async def keep_reporting(self) -> None:
        # An admission published before we listen would never be read.
        await self.inbox.is_listening.wait()
        while True:
            self.roster.changed.clear()
            try:
                await self._report()
            except Unavailable as error:
                log.warning("report not sent", extra={"error": str(error)})
            await self._pause()

    async def _report(self) -> None:
        runs, sent = self.roster.runs(), self.clock.monotonic()
        acknowledged = await self.bus.publish(self._message(runs))
        asyncio.ensure_future(acknowledged).add_done_callback(partial(_renew, runs, sent))

    def _message(self, runs: Sequence[Run]) -> WorkerReported:
        return WorkerReported(
            worker=self.me.name,
            incarnation=self.me.incarnation,
            model=self.me.model,
            at=self.clock.now(),
            to_partition=self.inbox.partition,
            slots=self.me.slots,
            profile=self.gate.engine.profile.name,
            tasks=tuple(run.as_running() for run in runs),
            load=self.gate.engine.load(),
            residual_s=self.gate.residual_s(),
            context_tokens=self.gate.engine.context_tokens,
            draining=self.roster.is_draining,
        )

    async def _pause(self) -> None:
        await self.clock.sleep(_APART_S)
        period_s = _PERIOD_UNSEATED_S if self.inbox.partition is None else _PERIOD_S
        try:
            async with asyncio.timeout(period_s - _APART_S):
                await self.roster.changed.wait()
        except TimeoutError:
            return


def _renew(runs: Sequence[Run], sent: float, acknowledged: asyncio.Future[Position]) -> None:
    if acknowledged.cancelled():
        return
    error = acknowledged.exception()
    if error is not None:
        log.warning("report lost", extra={"error": str(error)})
        return
    for run in runs:
        run.renew(sent)
