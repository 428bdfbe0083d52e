"""Where reading begins and ends, what offsets mean, how large a record may be: on every bus."""

import pytest

from shared.messages.bus import Bus, Start, Subscription
from tests.contract.notes import (
    NEW_NOTES,
    NOTES,
    NOTES_OF_A_GROUP,
    Noted,
    Reader,
    note,
    reading,
    texts_from_the_beginning,
)


async def test_who_wants_the_latest_reads_what_is_published_after_it_caught_up(bus: Bus) -> None:
    await note(bus, "old")

    async with reading(bus, NEW_NOTES, Reader()) as reader:
        await reader.until(lambda: bool(reader.caught_up))
        await note(bus, "new")
        await reader.has_read(1)
        assert reader.texts == ["new"]


async def test_a_new_group_that_wants_the_latest_reads_what_is_published_after_it_caught_up(
    bus: Bus,
) -> None:
    await note(bus, "old")
    latest = Subscription(message=Noted, topic="notes", group="late", start=Start.LATEST)

    async with reading(bus, latest, Reader()) as reader:
        await reader.until(lambda: bool(reader.caught_up))
        await note(bus, "new")
        await reader.has_read(1)
        assert reader.texts == ["new"]


async def test_a_reader_has_caught_up_once_and_only_after_it_handled_what_lay_there(
    bus: Bus,
) -> None:
    await note(bus, "one", "two", "three")

    async with reading(bus, NOTES, Reader()) as reader:
        await reader.until(lambda: bool(reader.caught_up))
        await note(bus, "four")
        await reader.has_read(4)
        assert reader.caught_up == [3]


async def test_a_reader_of_an_empty_topic_has_caught_up_at_once(bus: Bus) -> None:
    async with reading(bus, NOTES_OF_A_GROUP, Reader()) as reader:
        await reader.until(lambda: bool(reader.caught_up))

        assert reader.caught_up == [0]


async def test_a_replay_ends_at_the_present_end(bus: Bus) -> None:
    await note(bus, "one", "two")

    replayed = []
    async for record in bus.replay(NOTES):
        replayed.append(record.message.text)
        await note(bus, "from the future")

    assert replayed == ["one", "two"]


async def test_a_replay_begins_where_it_is_told_to(bus: Bus) -> None:
    for text in ("one", "two", "three"):
        await (await bus.publish(Noted(text=text, to_partition=1)))

    replayed = [record.message.text async for record in bus.replay(NOTES, since={1: 2})]

    assert replayed == ["three"]


async def test_all_records_were_written_since_the_first_of_all_instants(bus: Bus) -> None:
    await note(bus, "one", "two")

    since = await bus.offsets_since("notes", 0.0)

    assert [record.message.text async for record in bus.replay(NOTES, since=since)] == [
        "one",
        "two",
    ]


async def test_a_replay_of_nothing_ends(bus: Bus) -> None:
    assert await texts_from_the_beginning(bus, NOTES) == []


async def test_offsets_can_be_committed_by_hand_and_are_remembered(bus: Bus) -> None:
    for text in ("one", "two"):
        await (await bus.publish(Noted(text=text, to_partition=1)))
    assert await bus.committed("notes", "by hand") == {}

    await bus.commit("notes", "by hand", {1: 1})

    assert await bus.committed("notes", "by hand") == {1: 1}
    mine = Subscription(message=Noted, topic="notes", group="by hand", partitions=frozenset({1}))
    async with reading(bus, mine, Reader()) as reader:
        await reader.has_read(1)
        assert reader.texts == ["two"]


async def test_a_reader_commits_the_offset_of_the_next_record(bus: Bus) -> None:
    await (await bus.publish(Noted(text="one", to_partition=3)))

    async with reading(bus, NOTES_OF_A_GROUP, Reader()) as reader:
        await reader.has_read(1)

    assert await bus.committed("notes", "readers") == {3: 1}


async def test_a_body_of_nothing_but_control_characters_passes(bus: Bus) -> None:
    worst = "\x01" * (256 * 1024)

    await note(bus, worst)

    async with reading(bus, NOTES, Reader()) as reader:
        await reader.has_read(1)
        assert reader.texts == [worst]


async def test_a_record_beyond_the_limit_is_refused_at_once(bus: Bus) -> None:
    with pytest.raises(ValueError, match="bytes"):
        await bus.publish(Noted(text="x" * (3 * 1024 * 1024), of="someone"))


async def test_a_partition_that_does_not_exist_is_refused_at_once(bus: Bus) -> None:
    with pytest.raises(ValueError, match="partition"):
        await bus.publish(Noted(text="lost", to_partition=999))


async def test_a_topic_says_how_many_partitions_it_has(bus: Bus) -> None:
    assert await bus.partitions("notes") == 4
