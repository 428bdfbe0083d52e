"""What every log of task events promises its readers."""

import asyncio
from collections.abc import Sequence

import pytest

from shared.adapters.memory_event_log import MemoryEventLog
from shared.adapters.redis_event_log import RedisEventLog
from shared.domain.errors import InvalidRequest
from tests.eventually import WITHIN_S

EventLog = MemoryEventLog | RedisEventLog


async def all_of(log: EventLog, after: str | None = None) -> Sequence[tuple[str, str]]:
    async with asyncio.timeout(WITHIN_S):
        return [event async for event in log.read("t", after)]


async def texts_of(log: EventLog, after: str | None = None) -> Sequence[str]:
    return [text for _, text in await all_of(log, after)]


async def test_a_log_knows_whose_it_is(event_log: EventLog) -> None:
    await event_log.open("t", "tenant-1", '{"kind": "tests"}')

    assert await event_log.tenant_of("t") == "tenant-1"
    assert await event_log.facts("t") == '{"kind": "tests"}'


async def test_what_was_never_opened_is_unknown_and_empty(event_log: EventLog) -> None:
    assert not await event_log.append("t", "lost", 1)
    await event_log.close("t")

    assert await event_log.tenant_of("t") is None
    assert await event_log.facts("t") is None
    assert await texts_of(event_log) == []


async def test_opening_again_replaces_the_facts_and_keeps_the_events(event_log: EventLog) -> None:
    await event_log.open("t", "tenant-1", "queued")
    await event_log.append("t", "an event", 1)

    await event_log.open("t", "tenant-1", "running")
    await event_log.close("t")

    assert await event_log.facts("t") == "running"
    assert await texts_of(event_log) == ["an event"]


async def test_a_late_reader_gets_everything_in_order(event_log: EventLog) -> None:
    await event_log.open("t", "tenant-1", "")
    for number, text in enumerate(("one", "zwei", "três"), 1):
        assert await event_log.append("t", text, number)
    await event_log.close("t", "the end")

    assert await texts_of(event_log) == ["one", "zwei", "três", "the end"]


async def test_an_event_that_is_written_again_is_read_once(event_log: EventLog) -> None:
    await event_log.open("t", "tenant-1", "")
    for number in (1, 2, 2, 1, 3):
        assert await event_log.append("t", f"event {number}", number)
    await event_log.close("t")

    assert await texts_of(event_log) == ["event 1", "event 2", "event 3"]


async def test_a_reader_resumes_after_the_event_it_has_seen(event_log: EventLog) -> None:
    await event_log.open("t", "tenant-1", "")
    for number, text in enumerate(("one", "two", "three"), 1):
        await event_log.append("t", text, number)
    await event_log.close("t")
    (_, (second, _), (last, _)) = await all_of(event_log)

    assert await texts_of(event_log, after=second) == ["three"]
    assert await texts_of(event_log, after=last) == []


async def test_a_reader_follows_until_the_log_is_closed(event_log: EventLog) -> None:
    await event_log.open("t", "tenant-1", "")
    await event_log.append("t", "before", 1)
    reader = event_log.read("t", None)
    async with asyncio.timeout(WITHIN_S):
        assert (await anext(reader))[1] == "before"
        following = asyncio.ensure_future(anext(reader))

        await event_log.append("t", "after", 2)
        assert (await following)[1] == "after"
        await event_log.close("t")

        assert [event async for event in reader] == []


async def test_two_readers_follow_one_log(event_log: EventLog) -> None:
    await event_log.open("t", "tenant-1", "")
    readers = [asyncio.create_task(texts_of(event_log)) for _ in range(2)]

    await event_log.append("t", "an event", 1)
    await event_log.close("t")

    assert await asyncio.gather(*readers) == [["an event"], ["an event"]]


async def test_a_log_takes_no_more_than_its_cap_but_always_a_last_word(
    event_log: EventLog,
) -> None:
    await event_log.open("t", "tenant-1", "")

    said = ("x" * 60, "y" * 60, "z")
    taken = [await event_log.append("t", text, number) for number, text in enumerate(said, 1)]
    await event_log.close("t", "the end" * 20)

    assert taken == [True, False, False]
    assert await texts_of(event_log) == ["x" * 60, "the end" * 20]


async def test_a_closed_log_stays_as_it_is(event_log: EventLog) -> None:
    await event_log.open("t", "tenant-1", "")
    await event_log.close("t", "the end")

    assert not await event_log.append("t", "too late", 1)
    await event_log.close("t", "another end")
    await event_log.open("t", "tenant-2", "reopened")

    assert await event_log.tenant_of("t") == "tenant-1"
    assert await texts_of(event_log) == ["the end"]


async def test_a_closed_log_is_forgotten_in_time(short_log: EventLog) -> None:
    await short_log.open("t", "tenant-1", "")
    await short_log.close("t", "the end")

    async with asyncio.timeout(WITHIN_S):
        while await short_log.tenant_of("t") is not None:  # noqa: ASYNC110 - only asking can tell
            await asyncio.sleep(0.05)

    assert await texts_of(short_log) == []


@pytest.mark.parametrize("garbage", ["", "latest", "1", "-1-0", "1-0; DROP", "9" * 40 + "-0", "$"])
async def test_a_reader_that_resumes_from_garbage_is_told_so(
    event_log: EventLog, garbage: str
) -> None:
    await event_log.open("t", "tenant-1", "")

    with pytest.raises(InvalidRequest, match="is not the id of an event"):
        await all_of(event_log, after=garbage)
