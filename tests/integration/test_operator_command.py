"""The operator's command against a real broker and a real Redis."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from deploy.local.embedded_kafka import EmbeddedKafka
from deploy.local.real_kafka import RealKafka
from deploy.local.redis import LocalRedis
from shared.adapters.kafka_from_settings import connect_kafka
from shared.messages.pool import DeadLettered
from shared.messages.topics import TOPICS
from shared.runtime.settings import ServiceSettings

ROOT = Path(__file__).parents[2]
PREFIX = "operator."


@pytest.fixture
def environment(
    kafka: RealKafka | EmbeddedKafka, real_redis: LocalRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATO_KAFKA_SERVERS", kafka.bootstrap)
    monkeypatch.setenv("CATO_REDIS_URL", real_redis.url)
    monkeypatch.setenv("CATO_TOPIC_PREFIX", PREFIX)


async def cato(*words: str, **environment: str) -> tuple[int, str]:
    """The command's exit code, and all that it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.cli", *words),
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def test_a_new_house_gets_its_topics_and_is_then_in_order(environment: None) -> None:
    created, first = await cato("topics", "create")
    again, second = await cato("topics", "create")
    code, told = await cato("check")

    assert (created, again, code) == (0, 0, 0), first + second + told
    assert "FAIL" not in told
    assert "ok   Kafka topics" in told


async def test_a_broker_without_topics_is_not_in_order(
    kafka: RealKafka | EmbeddedKafka, environment: None
) -> None:
    if isinstance(kafka, EmbeddedKafka):
        pytest.skip("the embedded broker makes a topic whenever one is asked for")

    code, told = await cato("check", CATO_TOPIC_PREFIX="nowhere.")

    assert code == 1
    assert f"FAIL Kafka topics: {TOPICS[0].name} has none of {TOPICS[0].partitions}" in told
    assert "run `cato topics create`" in told


async def test_dead_letters_are_listed(environment: None) -> None:
    await cato("topics", "create")
    async with connect_kafka(ServiceSettings.load()) as bus:
        letter = DeadLettered(
            source_topic="tasks.submitted",
            source_partition=0,
            source_offset=1,
            reason="not JSON",
            at=1_700_000_000.0,
        )
        await (await bus.publish(letter))

    code, told = await cato("deadletters")

    assert code == 0
    assert "not JSON" in told
    assert "tasks.submitted[0]@1" in told


async def test_a_broker_that_is_away_is_named(environment: None) -> None:
    code, told = await cato("deadletters", CATO_KAFKA_SERVERS="127.0.0.1:1")

    assert code == 1
    assert told.startswith("cato: Kafka at 127.0.0.1:1")
    assert len(told.splitlines()) == 1
