"""The scaler follows what the scheduler says is needed, within bounds and without haste."""

import asyncio
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from shared.domain.clock import Clock
from shared.domain.errors import Unavailable
from shared.messages.bus import Bus, Record, Start, Subscription
from shared.messages.pool import BacklogReported
from shared.scheduling.scaling import Steady

log = logging.getLogger(__name__)

_STEP_S: Final = 1.0
# The scheduler speaks ten times a second; a word that is older than a failover takes is no word.
_STALE_S: Final = 5.0
_LONGEST_PAUSE_S: Final = 60.0
_REPORTS: Final = Subscription(
    message=BacklogReported,
    topic=BacklogReported.base_topic,
    start=Start.LATEST,
    patience_s=_STEP_S / 2,
)


class Workers(Protocol):
    """The workers of one pool, wherever they run. Each method may raise Unavailable."""

    async def count(self) -> int:
        """Those that serve or will, without those that leave."""
        ...

    async def add(self) -> None:
        """Start one more; returns before it serves."""
        ...

    async def drain(self) -> None:
        """Let the newest finish what it has and leave; returns before it has left."""
        ...


@dataclass(slots=True)
class Patience:
    """Workers that end by themselves, or cannot be started, are started again ever more slowly."""

    shortest_s: float
    pause_s: float = 0.0
    until: float = -math.inf

    def fail(self, now: float) -> None:
        self.pause_s = min(_LONGEST_PAUSE_S, max(self.shortest_s, 2 * self.pause_s))
        self.until = now + self.pause_s

    def succeed(self, now: float) -> None:
        if now > self.until + self.pause_s:
            self.pause_s = 0.0


@dataclass(slots=True, kw_only=True)
class Scaler:
    """Where it hears nothing it changes nothing, except that `steady.least` workers there are."""

    workers: Workers
    model: str
    steady: Steady
    clock: Clock
    patience: Patience = field(default_factory=lambda: Patience(shortest_s=2.0))
    _report: BacklogReported | None = None
    _heard_at: float = -math.inf
    _expected: int | None = None

    async def follow(self, bus: Bus) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(bus.consume(_REPORTS, self.hear))
            group.create_task(self.keep_stepping())

    async def hear(self, records: Sequence[Record[BacklogReported]]) -> None:
        for record in records:
            report = record.message
            # A deposed leader may speak on for a moment.
            is_newer = self._report is None or report.epoch >= self._report.epoch
            if report.model == self.model and is_newer:
                self._report, self._heard_at = report, self.clock.monotonic()

    async def keep_stepping(self) -> None:
        while True:
            try:
                await self.step()
            except Unavailable as error:
                self.patience.fail(self.clock.monotonic())
                log.warning("not scaled", extra={"reason": str(error)})
            await self.clock.sleep(_STEP_S)

    async def step(self) -> None:
        now, have = self.clock.monotonic(), await self.workers.count()
        self._mourn(have, now)
        wanted = self._wanted(have, now)
        self._expected = have
        while have < wanted and now >= self.patience.until:
            await self.workers.add()
            have = self._expected = have + 1
            log.info("worker added", extra={"workers": have, "wanted": wanted})
        while have > wanted:
            await self.workers.drain()
            have = self._expected = have - 1
            log.info("worker drained", extra={"workers": have, "wanted": wanted})

    def _mourn(self, have: int, now: float) -> None:
        if self._expected is not None and have < self._expected:
            self.patience.fail(now)
            log.warning("workers ended unasked", extra={"lost": self._expected - have})
        else:
            self.patience.succeed(now)

    def _wanted(self, have: int, now: float) -> int:
        if self._expected is None:
            # Somebody had a reason for those who are there already: they are held like any others.
            self.steady.wanted(have, now)
        is_fresh = now - self._heard_at <= _STALE_S
        needed = self._report.needed if self._report is not None and is_fresh else None
        return self.steady.wanted(have if needed is None else needed, now)
