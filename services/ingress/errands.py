"""What has to be done but nobody waits for; whoever ends last waits for all of it."""

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field

from shared.domain.errors import Unavailable

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Errands:
    """A failed errand is logged: as a warning while Kafka or Redis is away, else as our mistake."""

    _running: set[asyncio.Task[None]] = field(default_factory=set)

    def run(self, errand: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(errand)
        self._running.add(task)
        task.add_done_callback(self._note)
        return task

    async def finish(self, within_s: float) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=within_s)
        for task in self._running:
            task.cancel()

    def _note(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Unavailable):
            log.warning("errand failed", extra={"why": str(error)})
        elif error is not None:
            log.error("errand broke", exc_info=error)
