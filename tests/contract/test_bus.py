"""A bus loses nothing, keeps the order of a key, and lets no bad record stand in the way."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import ClassVar

import pytest

from shared.domain.errors import Unavailable
from shared.messages.bus import Bus, Record, Start, Subscription
from shared.messages.catalogue import DeadLettered
from shared.messages.message import Message

WITHIN_S = 20.0


class Noted(Message):
    base_topic: ClassVar[str] = "notes"

    text: str
    of: str | None = None
    to_partition: int | None = None

    def key(self) -> str | None:
        return self.of

    def partition(self) -> int | None:
        return self.to_partition

    def headers(self) -> dict[str, str]:
        return {"traceparent": f"trace of {self.text}"}


class NotedTomorrow(Noted):
    colour: str = "blue"


class Scrawled(Message):
    """Nobody who expects notes can read it."""

    base_topic: ClassVar[str] = "notes"

    ink: int = 7

    def key(self) -> str:
        return "any"


NOTES = Subscription(message=Noted, topic="notes")
NOTES_OF_A_GROUP = Subscription(message=Noted, topic="notes", group="readers")
NEW_NOTES = Subscription(message=Noted, topic="notes", start=Start.LATEST)
LETTERS = Subscription(message=DeadLettered, topic="dead.letters")


class Reader:
    """Keeps what it was given; fails where `objection` says so."""

    def __init__(self, objection: Callable[[Sequence[str]], None] = lambda _: None) -> None:
        self.records: list[Record[Noted]] = []
        self.offered: list[list[str]] = []
        self.caught_up: list[int] = []
        self._objection = objection
        self._changed = asyncio.Event()

    async def handle(self, records: Sequence[Record[Noted]]) -> None:
        texts = [record.message.text for record in records]
        self.offered.append(texts)
        self._changed.set()
        self._objection(texts)
        self.records += records

    def has_caught_up(self) -> None:
        self.caught_up.append(len(self.records))
        self._changed.set()

    @property
    def texts(self) -> list[str]:
        return [record.message.text for record in self.records]

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not is_so():
                await self._changed.wait()
                self._changed.clear()
                # What the handler was given becomes its own only after it returned.
                await asyncio.sleep(0)

    async def has_read(self, count: int) -> None:
        await self.until(lambda: len(self.records) >= count)


@contextlib.asynccontextmanager
async def reading(
    bus: Bus, subscription: Subscription[Noted], reader: Reader
) -> AsyncIterator[Reader]:
    """Someone reads for as long as the block lasts, and has seen all that lay there before."""
    consuming = asyncio.create_task(
        bus.consume(subscription, reader.handle, caught_up=reader.has_caught_up)
    )
    try:
        yield reader
    finally:
        consuming.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await consuming


async def note(bus: Bus, *texts: str, of: str | None = "someone") -> None:
    for delivered in [await bus.publish(Noted(text=text, of=of)) for text in texts]:
        await delivered


async def letters(bus: Bus) -> list[DeadLettered]:
    return [record.message async for record in bus.replay(LETTERS)]


async def texts_from_the_beginning(bus: Bus, subscription: Subscription[Noted]) -> list[str]:
    return [record.message.text async for record in bus.replay(subscription)]


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
