"""Real Redis and real Kafka for a whole session of tests, and a plain word where one is missing."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import openai
import pytest
import pytest_asyncio

from deploy.local.embedded_kafka import EmbeddedKafka
from deploy.local.errors import KafkaUnavailable
from deploy.local.house import House
from deploy.local.real_kafka import RealKafka
from deploy.local.redis import LocalRedis

Kafka = RealKafka | EmbeddedKafka

_FALLEN_BACK = pytest.StashKey[str]()


def real_kafka_is_required() -> bool:
    return os.environ.get("CATO_REQUIRE_REAL_KAFKA") == "1"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def real_redis(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalRedis]:
    async with LocalRedis.start(tmp_path_factory.mktemp("redis"), appends=True) as redis:
        yield redis


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def forgetful_redis(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[LocalRedis]:
    """One without a disk, of one module alone: it is killed, and must then know nothing."""
    async with LocalRedis.start(tmp_path_factory.mktemp("forgetful"), appends=False) as redis:
        yield redis


@pytest_asyncio.fixture(loop_scope="session")
async def client(house: House) -> AsyncIterator[openai.AsyncOpenAI]:
    """Asks the house of the module, once each time."""
    async with openai.AsyncOpenAI(
        base_url=f"{house.base_url}/v1", api_key="unused", max_retries=0, timeout=60
    ) as client:
        yield client


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kafka(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> AsyncIterator[Kafka]:
    """Apache Kafka; the embedded broker only where Kafka cannot run and need not."""
    directory = tmp_path_factory.mktemp("kafka")
    async with AsyncExitStack() as stack:
        broker: Kafka
        try:
            broker = await stack.enter_async_context(RealKafka.start(directory))
        except KafkaUnavailable as why:
            if real_kafka_is_required():
                raise
            pytestconfig.stash[_FALLEN_BACK] = str(why)
            broker = await stack.enter_async_context(EmbeddedKafka.start(directory))
        yield broker


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if why := config.stash.get(_FALLEN_BACK, None):
        terminalreporter.section("Apache Kafka did not run")
        terminalreporter.line(f"{why}.")
        terminalreporter.line("The broker tests ran on the embedded broker instead.")
