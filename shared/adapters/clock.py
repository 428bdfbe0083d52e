"""Machines disagree about the time; the house agrees on that of its Redis."""

import asyncio
import logging
import time
from collections.abc import Awaitable
from typing import Final, Protocol

from shared.adapters.redis_connection import translated
from shared.domain.errors import Unavailable
from shared.telemetry import instruments

log = logging.getLogger(__name__)

_COMPARE_EVERY_S: Final = 30.0


class _TellsTime(Protocol):
    def time(self) -> Awaitable[tuple[int, int]]: ...


class SystemClock:
    """The machine's clock, corrected by its offset to Redis; correct by nothing until asked to."""

    def __init__(self) -> None:
        self._offset_s = 0.0

    @property
    def offset_s(self) -> float:
        """What is added to this machine's time."""
        return self._offset_s

    def now(self) -> float:
        return time.time() + self._offset_s

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, duration_s: float) -> None:
        await asyncio.sleep(duration_s)

    async def synchronise(self, redis: _TellsTime, samples: int = 5) -> None:
        """The sample with the smallest round trip is the one the network bent least.

        Raises Unavailable, and keeps the offset it has, when Redis does not answer.
        """
        with translated():
            measured = [await _sample(redis) for _ in range(samples)]
        _, self._offset_s = min(measured)

    async def keep_synchronised(self, redis: _TellsTime) -> None:
        """Again and again until cancelled, because clocks drift; exported as a metric."""
        while True:
            try:
                await self.synchronise(redis)
            except Unavailable as error:
                log.warning("clock not compared with Redis", extra={"reason": str(error)})
            instruments.clock_offset.set(self._offset_s)
            await asyncio.sleep(_COMPARE_EVERY_S)


async def _sample(redis: _TellsTime) -> tuple[float, float]:
    """Round trip and offset, in seconds."""
    started_at, started = time.time(), time.monotonic()
    seconds, microseconds = await redis.time()
    round_trip_s = time.monotonic() - started
    return round_trip_s, seconds + microseconds / 1e6 - (started_at + round_trip_s / 2)


class LoopClock:
    """The time of the running event loop, which a story may let pass as fast as it likes."""

    def __init__(self, start_at: float = 0.0) -> None:
        self._start_at = start_at

    def now(self) -> float:
        return self._start_at + self.monotonic()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, duration_s: float) -> None:
        await asyncio.sleep(duration_s)
