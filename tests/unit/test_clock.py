"""Clocks: one follows Redis, one follows the event loop."""

import asyncio
from dataclasses import dataclass, field

import pytest

from shared.adapters.clock import LoopClock, SystemClock


@dataclass
class FarAway:
    """A Redis that is ahead, and now and then far away on one leg of the journey."""

    ahead_s: float
    busy_for: list[int]
    clock: SystemClock = field(default_factory=SystemClock)

    async def time(self) -> tuple[int, int]:
        at = self.clock.now() + self.ahead_s
        for _ in range(self.busy_for.pop(0)):
            await asyncio.sleep(0)
        return int(at), int(at % 1 * 1e6)


async def test_a_clock_takes_over_the_time_of_redis() -> None:
    clock = SystemClock()

    await clock.synchronise(FarAway(100, [0, 0, 0]), samples=3)

    assert clock.offset_s == pytest.approx(100, abs=0.05)
    assert clock.now() - SystemClock().now() == pytest.approx(100, abs=0.05)


async def test_slow_answers_do_not_bend_the_time() -> None:
    clock = SystemClock()

    await clock.synchronise(FarAway(-100, [20_000, 0, 20_000]), samples=3)

    assert clock.offset_s == pytest.approx(-100, abs=0.005)


async def test_a_loop_clock_starts_where_it_is_told_and_goes_with_the_loop() -> None:
    clock = LoopClock(start_at=1000)
    began_at, began = clock.now(), clock.monotonic()

    await clock.sleep(3600)

    assert began_at == 1000 + began
    assert clock.now() - began_at == clock.monotonic() - began == 3600
