"""Over a broker the bus keeps what it promises in memory, and outlives the broker's absence."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.local.embedded_kafka import EmbeddedKafka
from deploy.local.errors import KafkaUnavailable
from deploy.local.ports import chosen_port
from deploy.local.real_kafka import RealKafka
from shared.adapters.clock import SystemClock
from shared.adapters.kafka.topic_creation import create_topics
from shared.adapters.kafka_bus import KafkaBus
from shared.adapters.kafka_from_settings import await_kafka
from shared.domain.errors import Unavailable
from shared.messages.bus import Bus
from shared.messages.topics import TOPICS
from shared.runtime.settings import ServiceSettings
from tests.contract.notes import NOTES, NOTES_OF_A_GROUP, Noted, Reader, note, reading
from tests.contract.test_bus import *  # noqa: F403  the same promises, over Kafka
from tests.contract.test_bus_places import *  # noqa: F403
from tests.eventually import eventually
from tests.integration.conftest import Kafka

_LIKE = {topic.name: topic for topic in TOPICS}
_NARROW = (replace(_LIKE["tasks.cancelled"], name="notes", partitions=4), _LIKE["dead.letters"])


@pytest.fixture
async def bus(kafka: Kafka) -> AsyncIterator[Bus]:
    """A house of its own for each test, on the one broker."""
    prefix = f"{uuid.uuid4().hex[:8]}."
    await create_topics(kafka.bootstrap, topics=_NARROW, topic_prefix=prefix)
    async with KafkaBus.connect(
        kafka.bootstrap, topic_prefix=prefix, fetch_wait_ms=100
    ) as connected:
        yield connected


@contextlib.asynccontextmanager
async def a_broker(directory: Path, *, port: int = 0) -> AsyncIterator[RealKafka]:
    async with contextlib.AsyncExitStack() as stack:
        try:
            started = await stack.enter_async_context(RealKafka.start(directory, port=port))
        except KafkaUnavailable as why:
            pytest.skip(str(why))
        await create_topics(started.bootstrap, topics=_NARROW)
        yield started


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RealKafka]:
    """One that a test may kill."""
    async with a_broker(tmp_path) as started:
        yield started


async def test_a_record_whose_broker_is_away_is_unavailable_and_arrives_once_it_is_back(
    broker: RealKafka,
) -> None:
    async with KafkaBus.connect(broker.bootstrap, delivery_timeout_s=6.0) as bus:
        await note(bus, "before")
        async with reading(bus, NOTES_OF_A_GROUP, Reader()) as reader:
            await reader.has_read(1)
            broker.kill()

            waiting = await bus.publish(Noted(text="during", of="someone"))
            with pytest.raises(Unavailable):
                await waiting
            await broker.restart()

            await reader.has_read(2)
            await note(bus, "after")
            await reader.has_read(3)
            assert reader.texts == ["before", "during", "after"]


@pytest.mark.parametrize("patience_s", [1.0, 60.0])
async def test_a_bus_that_is_left_with_a_record_under_way_leaves_nobody_at_work(
    tmp_path: Path, patience_s: float
) -> None:
    others = asyncio.all_tasks()

    with contextlib.suppress(TimeoutError):
        async with (
            EmbeddedKafka.start(tmp_path) as broker,
            asyncio.timeout(10),
            KafkaBus.connect(broker.bootstrap, delivery_timeout_s=patience_s) as bus,
        ):
            await note(bus, "before")
            broker.kill()
            await bus.publish(Noted(text="during", of="someone"))

    await eventually(lambda: asyncio.all_tasks() <= others, saying="all have ended")


async def test_without_a_broker_connecting_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        async with KafkaBus.connect("127.0.0.1:1", delivery_timeout_s=2.0):
            pass


async def test_a_service_that_is_there_before_its_broker_waits_for_it_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = chosen_port(0, setting="Kafka port")
    settings = ServiceSettings.load(kafka_servers=f"127.0.0.1:{port}")

    async def width_of_notes() -> int:
        async with await_kafka(settings, clock=SystemClock()) as bus:
            return await bus.partitions("notes")

    waiting = asyncio.create_task(width_of_notes())
    await eventually(lambda: "Kafka is not there yet" in caplog.messages, saying="it says so")
    async with a_broker(tmp_path, port=port):
        assert await waiting == 4


async def test_what_was_written_before_an_instant_can_be_left_out(bus: Bus, kafka: Kafka) -> None:
    await note(bus, "old")

    since = await bus.offsets_since("notes", time.time() + 60)

    read = [record.message.text async for record in bus.replay(NOTES, since=since)]
    # The embedded broker keeps no time.
    assert read == ([] if isinstance(kafka, RealKafka) else ["old"])


async def test_topics_can_be_asked_for_again(kafka: Kafka) -> None:
    await create_topics(kafka.bootstrap, topics=_NARROW, topic_prefix="again.")

    await create_topics(kafka.bootstrap, topics=_NARROW, topic_prefix="again.")
