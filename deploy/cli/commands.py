"""What each verb of `cato` does; answers go to stdout, one fact a line."""

import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from deploy.cli.check import Finding, check_kafka, check_redis
from deploy.cli.dead_letters import dead_letter_lines
from deploy.cli.trace_files import hops_of
from deploy.cli.trace_page import page
from shared.adapters.kafka_from_settings import connect_kafka, create_missing_topics
from shared.adapters.redis_connection import connect_redis
from shared.domain.errors import SettingsError, Unavailable
from shared.messages.topics import TOPICS
from shared.runtime.settings import RedisSettings, ServiceSettings


def trace(wanted: str, directory: Path) -> int:
    _say(page(hops_of(wanted, directory)).rstrip("\n"))
    return 0


async def check() -> int:
    """1 where anything is wrong; every finding is told, not only the first."""
    code = 0
    async with aclosing(_findings()) as findings:
        async for finding in findings:
            _say(str(finding))
            code = code if finding.is_good else 1
    return code


async def create(*, replication: int, prompts_kept_s: float | None) -> int:
    settings = ServiceSettings.load()
    await create_missing_topics(settings, replication=replication, prompts_kept_s=prompts_kept_s)
    _say(f"all {len(TOPICS)} topics are there")
    return 0


async def dead_letters() -> int:
    settings = ServiceSettings.load()
    async with connect_kafka(settings) as bus, aclosing(dead_letter_lines(bus)) as lines:
        async for line in lines:
            _say(line)
    return 0


async def _findings() -> AsyncGenerator[Finding, None]:
    try:
        settings = RedisSettings.load()
    except SettingsError as error:
        yield Finding(subject="settings", said=str(error), remedy="set it right and ask again")
        return
    yield Finding(subject="settings", said="complete")
    async with connect_redis(settings.redis_url) as redis:
        async for finding in check_redis(redis):
            yield finding
    try:
        async with connect_kafka(settings) as bus:
            yield Finding(subject="Kafka", said="answers")
            yield await check_kafka(bus)
    except Unavailable as error:
        yield Finding(subject="Kafka", said=str(error), remedy="see CATO_KAFKA_SERVERS")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
