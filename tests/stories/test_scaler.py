"""What the scaler does with what it hears, told in virtual time."""

import asyncio
import logging
from dataclasses import dataclass, field

import pytest

from deploy.scaler.scaler import Scaler
from shared.adapters.clock import LoopClock
from shared.adapters.memory_bus import MemoryBus
from shared.domain.errors import Unavailable
from shared.messages.bus import Position, Record
from shared.messages.pool import BacklogReported
from shared.scheduling.scaling import Steady

_HOLD_S = 60.0


@dataclass(slots=True)
class Crew:
    """Workers that come and go as they are told, and sometimes otherwise."""

    there: int = 1
    started: int = 0
    fails: bool = False

    async def count(self) -> int:
        return self.there

    async def add(self) -> None:
        if self.fails:
            raise Unavailable("the host is full")
        self.there += 1
        self.started += 1

    async def drain(self) -> None:
        self.there -= 1


@dataclass(slots=True)
class Story:
    crew: Crew = field(default_factory=Crew)
    clock: LoopClock = field(default_factory=lambda: LoopClock(start_at=1000.0))
    scaler: Scaler = field(init=False)

    def __post_init__(self) -> None:
        steady = Steady(least=1, most=4, hold_s=_HOLD_S)
        self.scaler = Scaler(workers=self.crew, model="cato-demo", steady=steady, clock=self.clock)

    async def needs(self, needed: int | None, *, model: str = "cato-demo", epoch: int = 1) -> None:
        """The scheduler says so, and the scaler acts on it."""
        position = Position(topic=BacklogReported.base_topic, partition=0, offset=0)
        report = self.report(needed, model=model, epoch=epoch)
        await self.scaler.hear([Record(message=report, position=position, headers={})])
        await self.scaler.step()

    def report(
        self, needed: int | None, *, model: str = "cato-demo", epoch: int = 1
    ) -> BacklogReported:
        return BacklogReported(
            model=model,
            epoch=epoch,
            at=self.clock.now(),
            workers=self.crew.there,
            slots=1,
            queued_bytes=0,
            is_full=False,
            classes={},
            needed=needed,
        )


async def test_need_is_met_at_once() -> None:
    story = Story()

    await story.needs(3)

    assert story.crew.there == 3


async def test_workers_leave_once_nobody_needed_them_for_the_hold() -> None:
    story = Story()
    await story.needs(3)

    await asyncio.sleep(_HOLD_S - 1)
    await story.needs(1)
    still_there = story.crew.there
    await asyncio.sleep(2)
    await story.needs(1)

    assert (still_there, story.crew.there) == (3, 1)


async def test_no_need_reaches_beyond_the_bounds() -> None:
    story = Story()

    await story.needs(100)

    assert story.crew.there == 4


async def test_a_scaler_that_was_just_started_sends_nobody_away() -> None:
    story = Story(crew=Crew(there=3))

    await story.needs(0)

    assert story.crew.there == 3


async def test_who_hears_nothing_changes_nothing() -> None:
    story = Story()
    await story.needs(3)

    await asyncio.sleep(10 * _HOLD_S)
    await story.scaler.step()

    assert story.crew.there == 3


async def test_at_least_the_lowest_number_is_there_even_before_anybody_spoke() -> None:
    story = Story(crew=Crew(there=0))

    await story.scaler.step()

    assert story.crew.there == 1


async def test_a_scheduler_of_before_this_version_changes_nothing() -> None:
    story = Story(crew=Crew(there=2))

    await story.needs(None)

    assert story.crew.there == 2


@pytest.mark.parametrize(("model", "epoch"), [("another", 9), ("cato-demo", 0)])
async def test_other_pools_and_deposed_leaders_are_not_followed(model: str, epoch: int) -> None:
    story = Story()
    await story.needs(1)

    await story.needs(4, model=model, epoch=epoch)

    assert story.crew.there == 1


async def test_workers_that_die_are_replaced_ever_more_slowly() -> None:
    story = Story()
    await story.needs(2)

    for _ in range(120):
        story.crew.there = 1
        await asyncio.sleep(1)
        await story.needs(2)

    assert 3 <= story.crew.started <= 10


async def test_what_cannot_be_started_is_told_in_one_line_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    story = Story(crew=Crew(there=0, fails=True))
    stepping = asyncio.create_task(story.scaler.keep_stepping())

    with caplog.at_level(logging.WARNING):
        await asyncio.sleep(1.5)
    story.crew.fails = False
    await asyncio.sleep(10)

    stepping.cancel()
    assert [record.getMessage() for record in caplog.records][:1] == ["not scaled"]
    assert story.crew.there == 1


async def test_it_follows_what_the_scheduler_publishes() -> None:
    story, bus = Story(), MemoryBus()
    following = asyncio.create_task(story.scaler.follow(bus))
    await asyncio.sleep(1)

    await bus.publish(story.report(2))
    await asyncio.sleep(3)

    following.cancel()
    assert story.crew.there == 2
