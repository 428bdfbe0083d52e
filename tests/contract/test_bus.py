"""A bus loses nothing, keeps the order of a key, and lets no bad record stand in the way."""

import asyncio
import base64
from collections.abc import Sequence

from shared.domain.errors import Unavailable
from shared.messages.bus import Bus, Record, Subscription
from tests.contract.notes import (
    NOTES,
    NOTES_OF_A_GROUP,
    Noted,
    NotedTomorrow,
    Reader,
    Scrawled,
    letters,
    note,
    reading,
)
from tests.eventually import WITHIN_S


async def test_the_records_of_one_key_arrive_in_the_order_in_which_they_were_published(
    bus: Bus,
) -> None:
    written = [str(number) for number in range(200)]

    await note(bus, *written)

    async with reading(bus, NOTES, Reader()) as reader:
        await reader.has_read(200)
        assert reader.texts == written
        assert len({record.position.partition for record in reader.records}) == 1


async def test_the_word_of_the_broker_names_the_place_where_a_record_is_read(bus: Bus) -> None:
    first = await (await bus.publish(Noted(text="first", to_partition=2)))
    second = await (await bus.publish(Noted(text="second", to_partition=2)))

    async with reading(bus, NOTES, Reader()) as reader:
        await reader.has_read(2)
        assert [record.position for record in reader.records] == [first, second]
        assert (first.topic, first.partition) == ("notes", 2)
        assert second.offset == first.offset + 1


async def test_headers_arrive_beside_the_message(bus: Bus) -> None:
    await note(bus, "hello")

    async with reading(bus, NOTES, Reader()) as reader:
        await reader.has_read(1)
        assert reader.records[0].headers == {"traceparent": "trace of hello"}


async def test_a_field_from_a_later_version_is_tolerated(bus: Bus) -> None:
    await (await bus.publish(NotedTomorrow(text="news", of="someone")))

    async with reading(bus, NOTES, Reader()) as reader:
        await reader.has_read(1)
        assert reader.texts == ["news"]


async def test_a_reader_that_dies_before_the_end_of_its_batch_leaves_it_to_the_next(
    bus: Bus,
) -> None:
    await note(bus, "one", "two")
    began = asyncio.Event()

    async def die(_: Sequence[Record[Noted]]) -> None:
        began.set()
        await asyncio.Event().wait()

    dying = asyncio.create_task(bus.consume(NOTES_OF_A_GROUP, die))
    await asyncio.wait_for(began.wait(), WITHIN_S)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)

    async with reading(bus, NOTES_OF_A_GROUP, Reader()) as heir:
        await heir.has_read(2)
        assert heir.texts == ["one", "two"]


async def test_what_was_handled_is_not_read_again_by_the_same_group(bus: Bus) -> None:
    await note(bus, "old")
    async with reading(bus, NOTES_OF_A_GROUP, Reader()) as first:
        await first.has_read(1)

    await note(bus, "new")

    async with reading(bus, NOTES_OF_A_GROUP, Reader()) as second:
        await second.has_read(1)
        assert second.texts == ["new"]


async def test_an_unreadable_record_is_buried_with_its_reason_and_the_reader_lives_on(
    bus: Bus,
) -> None:
    scrawled = Scrawled()
    lies = await (await bus.publish(scrawled))
    await note(bus, "readable", of="any")

    async with reading(bus, NOTES, Reader()) as reader:
        await reader.has_read(1)
        assert reader.texts == ["readable"]

    (letter,) = await letters(bus)
    assert "text" in letter.reason
    assert (letter.source_topic, letter.source_partition, letter.source_offset) == (
        lies.topic,
        lies.partition,
        lies.offset,
    )
    assert base64.b64decode(letter.value_base64) == scrawled.encode()


async def test_a_batch_is_offered_again_while_what_its_reader_needs_is_unavailable(
    bus: Bus,
) -> None:
    attempts: list[Sequence[str]] = []

    def unavailable_twice(texts: Sequence[str]) -> None:
        attempts.append(texts)
        if len(attempts) <= 2:
            raise Unavailable("Redis is away")

    await note(bus, "patience")

    async with reading(bus, NOTES, Reader(unavailable_twice)) as reader:
        await reader.has_read(1)
        assert reader.offered == [["patience"]] * 3
        assert await letters(bus) == []


async def test_a_poisonous_record_is_buried_alone_while_its_neighbours_are_handled(
    bus: Bus,
) -> None:
    def choke(texts: Sequence[str]) -> None:
        if "poison" in texts:
            raise ZeroDivisionError("poisoned")

    await note(bus, "before", "poison", "after")

    async with reading(bus, NOTES_OF_A_GROUP, Reader(choke)) as reader:
        await reader.has_read(2)
        await note(bus, "much later")
        await reader.has_read(3)
        assert reader.texts == ["before", "after", "much later"]

    (letter,) = await letters(bus)
    assert "poisoned" in letter.reason
    assert letter.traceparent == "trace of poison"


async def test_named_partitions_are_read_and_no_others(bus: Bus) -> None:
    for partition in (0, 1, 2):
        await (await bus.publish(Noted(text=f"in {partition}", to_partition=partition)))

    just_these = Subscription(message=Noted, topic="notes", partitions=frozenset({0, 2}))
    async with reading(bus, just_these, Reader()) as reader:
        await reader.until(lambda: bool(reader.caught_up))
        assert sorted(reader.texts) == ["in 0", "in 2"]


async def test_a_group_with_named_partitions_goes_on_where_it_stopped(bus: Bus) -> None:
    mine = Subscription(message=Noted, topic="notes", group="one", partitions=frozenset({1}))
    await (await bus.publish(Noted(text="old", to_partition=1)))
    async with reading(bus, mine, Reader()) as first:
        await first.has_read(1)

    await (await bus.publish(Noted(text="new", to_partition=1)))

    async with reading(bus, mine, Reader()) as second:
        await second.has_read(1)
        assert second.texts == ["new"]


async def test_the_members_of_a_group_share_the_partitions(bus: Bus) -> None:
    one, other = Reader(), Reader()

    async with reading(bus, NOTES_OF_A_GROUP, one), reading(bus, NOTES_OF_A_GROUP, other):
        async with asyncio.timeout(WITHIN_S):
            while not (one.records and other.records):
                for partition in range(4):
                    await (await bus.publish(Noted(text="hello", to_partition=partition)))
                await asyncio.sleep(0.1)

    assert one.records and other.records


async def test_two_groups_read_everything_each(bus: Bus) -> None:
    await note(bus, "for all")
    others = Subscription(message=Noted, topic="notes", group="other readers")

    async with (
        reading(bus, NOTES_OF_A_GROUP, Reader()) as one,
        reading(bus, others, Reader()) as other,
    ):
        await one.has_read(1)
        await other.has_read(1)
        assert one.texts == other.texts == ["for all"]
