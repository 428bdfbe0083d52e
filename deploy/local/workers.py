"""The workers of a laptop's house are processes that come and go while the house stands."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Self

from deploy.local.house import House, Pool
from deploy.local.processes import Child
from shared.domain.errors import Unavailable

# After its drain a worker still tells how its attempts ended.
_LAST_WORDS_S = 5.0


@dataclass(slots=True, kw_only=True)
class WorkerProcesses:
    """Of one pool; `drain_s`: how long one that leaves may finish what it runs."""

    house: House
    pool: Pool
    drain_s: float
    _leaving: set[asyncio.Task[None]] = field(default_factory=set)

    @classmethod
    @contextlib.asynccontextmanager
    async def of(cls, house: House, pool: Pool, *, drain_s: float) -> AsyncIterator[Self]:
        """On leaving the block, whoever has not left yet is ended."""
        workers = cls(house=house, pool=pool, drain_s=drain_s)
        try:
            yield workers
        finally:
            for leaving in workers._leaving:
                leaving.cancel()
            await asyncio.gather(*workers._leaving, return_exceptions=True)

    async def count(self) -> int:
        return len(self.house.called("worker", self.pool))

    async def add(self) -> None:
        try:
            self.house.launch("worker", self.pool, CATO_DRAIN_S=str(self.drain_s))
        except OSError as error:
            raise Unavailable(f"a worker cannot be started here: {error}") from error

    async def drain(self) -> None:
        called = self.house.called("worker", self.pool)
        if not called:
            return  # The last one has ended by itself, of which the house tells.
        newest = called[-1]
        # It is no longer a part that the house must not lack.
        self.house.household.children.remove(newest)
        leaving = asyncio.create_task(self._see_off(newest))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def _see_off(self, worker: Child) -> None:
        await worker.stop(drain_s=self.drain_s + _LAST_WORDS_S)
