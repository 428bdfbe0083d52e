"""A task's end is written down by the ingress that took it; if that one dies, somebody else has to.

Its answer is lost with it, for nobody reads the partition on which it arrives. Whoever asks for it
is told so, and may ask again under the same key.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from services.ingress.conversation import Ending
from services.ingress.journal import Journal
from services.ingress.ports import ReplyLeases
from shared.domain.outcome import Outcome
from shared.domain.task import TaskId

_LOOK_EVERY_S: Final = 5.0
_LOOK_AGAIN_S: Final = 0.5
# A Redis that lost its memory has lost the leases; who lives has them again by then. So has who
# was asked for the same task a moment ago begun to write.
_SURE_AFTER_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Vigil:
    journal: Journal
    leases: ReplyLeases

    @asynccontextmanager
    async def over(self, task_id: TaskId) -> AsyncIterator[None]:
        """Whoever reads what was written down comes to its end, for as long as the block lasts."""
        watching = asyncio.create_task(self._keep(task_id))
        try:
            yield
        finally:
            watching.cancel()

    async def is_abandoned(self, task_id: TaskId) -> bool:
        """Will nobody ever read its answer? Takes seconds if so; may raise Unavailable.

        So it is with what was never begun, is forgotten, or has ended without one.
        """
        clock = self.journal.clock
        sure_at = clock.monotonic() + _SURE_AFTER_S
        while not await self._is_kept(task_id):
            if clock.monotonic() >= sure_at:
                return True
            await clock.sleep(_LOOK_AGAIN_S)
        return False

    async def bury(self, task_id: TaskId) -> None:
        """Write down that there will be no answer. May raise Unavailable."""
        lost = "the ingress that held the answer has died; ask again"
        await self.journal.end(task_id, Ending(outcome=Outcome.FAILED, error=lost))

    async def _keep(self, task_id: TaskId) -> None:
        journal = self.journal
        while not await journal.insist(partial(self.is_abandoned, task_id)):
            await journal.clock.sleep(_LOOK_EVERY_S)
        await journal.insist(partial(self.bury, task_id))

    async def _is_kept(self, task_id: TaskId) -> bool:
        facts = await self.journal.told(task_id)
        if facts is None:
            return False
        if facts["status"] == "ended":
            return facts["output"] is not None
        # Facts of an earlier version name no ingress.
        writer = facts.get("ingress")
        return writer is None or writer in (await self.leases.live()).values()
