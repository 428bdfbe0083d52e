"""The scheduler tells every ingress, ten times a second, how long a newcomer would wait."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from services.ingress.admission import Backlog
from shared.domain.clock import Clock
from shared.messages.bus import Bus, Record, Start, Subscription
from shared.messages.pool import BacklogReported

_REPORTS: Final = Subscription(
    message=BacklogReported, topic=BacklogReported.base_topic, start=Start.LATEST
)


@dataclass(slots=True, kw_only=True)
class Backlogs:
    bus: Bus
    clock: Clock
    by_model: dict[str, Backlog] = field(default_factory=dict)

    async def listen(self) -> None:
        """Until cancelled."""
        await self.bus.consume(_REPORTS, self.note)

    async def note(self, records: Sequence[Record[BacklogReported]]) -> None:
        now = self.clock.monotonic()
        for record in records:
            report = record.message
            before = self.by_model.get(report.model)
            # A deposed leader may speak on for a moment.
            if before is None or report.epoch >= before.report.epoch:
                self.by_model[report.model] = Backlog(report=report, heard_at=now)

    def of(self, model: str) -> Backlog | None:
        return self.by_model.get(model)

    def models(self) -> tuple[str, ...]:
        return tuple(self.by_model)
