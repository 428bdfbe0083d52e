"""Over a broker the bus keeps what it promises in memory, and outlives the broker's absence."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from shared.adapters.kafka.topic_creation import create_topics
from shared.adapters.kafka_bus import KafkaBus
from shared.messages.bus import Bus
from shared.messages.topics import TOPICS
from tests.contract.test_bus import *  # noqa: F403  the same promises, over Kafka
from tests.integration.conftest import Kafka

_LIKE = {topic.name: topic for topic in TOPICS}


@pytest.fixture
async def bus(kafka: Kafka) -> AsyncIterator[Bus]:
    """A house of its own for each test, on the one broker."""
    prefix = f"{uuid.uuid4().hex[:8]}."
    topics = (
        replace(_LIKE["tasks.cancelled"], name="notes", partitions=4),
        _LIKE["dead.letters"],
    )
    await create_topics(kafka.bootstrap, topics=topics, topic_prefix=prefix)
    async with KafkaBus.connect(
        kafka.bootstrap, topic_prefix=prefix, fetch_wait_ms=100
    ) as connected:
        yield connected
