"""The schedulers tell every ingress which pools there are, and how long a newcomer would wait."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from services.ingress.admission import Backlog
from shared.domain.clock import Clock
from shared.messages.bus import Bus, Record, Start, Subscription
from shared.messages.pool import BacklogReported, LeaderElected

_REPORTS: Final = Subscription(
    message=BacklogReported, topic=BacklogReported.base_topic, start=Start.LATEST
)
# From the beginning: a pool whose scheduler is away now is out of order, but not unknown.
_ELECTIONS: Final = Subscription(
    message=LeaderElected, topic=LeaderElected.base_topic, patience_s=1.0
)


@dataclass(slots=True, kw_only=True)
class Backlogs:
    """A pool is known since somebody was elected to lead it; nobody has to list them."""

    bus: Bus
    clock: Clock
    by_model: dict[str, Backlog] = field(default_factory=dict)
    led: dict[str, None] = field(default_factory=dict)
    has_caught_up: bool = False

    async def listen(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.bus.consume(_REPORTS, self.note))
            group.create_task(
                self.bus.consume(_ELECTIONS, self.note_pools, caught_up=self._catch_up)
            )

    async def note(self, records: Sequence[Record[BacklogReported]]) -> None:
        now = self.clock.monotonic()
        for record in records:
            report = record.message
            before = self.by_model.get(report.model)
            # A deposed leader may speak on for a moment.
            if before is None or report.epoch >= before.report.epoch:
                self.by_model[report.model] = Backlog(report=report, heard_at=now)

    async def note_pools(self, records: Sequence[Record[LeaderElected]]) -> None:
        self.led.update((record.message.model, None) for record in records)

    def of(self, model: str) -> Backlog | None:
        return self.by_model.get(model)

    def models(self) -> tuple[str, ...]:
        """In the order in which they were first led; an old pool's election may be forgotten."""
        return tuple({**self.led, **dict.fromkeys(self.by_model)})

    def is_ready(self) -> bool:
        """Are all pools known that there are, and has a scheduler spoken for one of them?"""
        return self.has_caught_up and bool(self.by_model)

    def _catch_up(self) -> None:
        self.has_caught_up = True
