"""Before a house is started: is everything there that it needs, and is it as it must be?"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from shared.adapters.redis_connection import translated
from shared.domain.errors import Unavailable
from shared.messages.bus import Bus
from shared.messages.topics import TOPICS, Topic

OLDEST_REDIS: Final = (6, 2)
# What a laptop's broker gives every topic on its first use.
EMBEDDED_WIDTH: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`remedy` says what to do about it; without one there is nothing to do."""

    subject: str
    said: str
    remedy: str | None = None

    @property
    def is_good(self) -> bool:
        return self.remedy is None

    def __str__(self) -> str:
        mark = "ok  " if self.is_good else "FAIL"
        remedy = "" if self.remedy is None else f"; {self.remedy}"
        return f"{mark} {self.subject}: {self.said}{remedy}"


async def check_redis(redis: Redis) -> AsyncIterator[Finding]:
    try:
        with translated():
            found = await redis.info()
    except Unavailable as error:
        yield Finding(subject="Redis", said=str(error), remedy="see CATO_REDIS_URL")
        return
    for finding in findings_of_redis({str(key): str(value) for key, value in found.items()}):
        yield finding


def findings_of_redis(found: Mapping[str, str]) -> list[Finding]:
    """What INFO tells: is this a Redis that keeps what it was given?"""
    version = found.get("redis_version", "0")
    is_old = tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < OLDEST_REDIS
    policy = found.get("maxmemory_policy", "noeviction")
    keeps = found.get("aof_enabled") == "1"
    wanted = ".".join(map(str, OLDEST_REDIS))
    return [
        Finding(
            subject="Redis",
            said=f"version {version} answers",
            remedy=f"{wanted} or newer is needed" if is_old else None,
        ),
        Finding(
            subject="Redis memory",
            said=f"maxmemory-policy {policy}",
            remedy=None if policy == "noeviction" else "set maxmemory-policy noeviction",
        ),
        Finding(
            subject="Redis log",
            said="appendonly yes" if keeps else "appendonly no, a restart costs a rebuild",
        ),
    ]


async def check_kafka(bus: Bus) -> Finding:
    """Every topic, with as many partitions as the processes expect to share."""
    # All at once: the bus waits a while for each topic that is not there.
    found = await asyncio.gather(*(_width(bus, topic) for topic in TOPICS))
    widths = dict(zip(TOPICS, found, strict=True))
    if set(widths.values()) == {EMBEDDED_WIDTH}:
        return Finding(subject="Kafka topics", said="four partitions each: the embedded broker")
    narrow = [
        f"{topic.name} has {width or 'none'} of {topic.partitions} partitions"
        for topic, width in widths.items()
        if width < topic.partitions
    ]
    return Finding(
        subject="Kafka topics",
        said="; ".join(narrow) if narrow else f"all {len(TOPICS)} are there",
        remedy="run `cato topics create`; it does not widen what exists" if narrow else None,
    )


async def _width(bus: Bus, topic: Topic) -> int:
    """0 where there is no such topic; Kafka itself has answered before this is asked."""
    try:
        return await bus.partitions(topic.name)
    except Unavailable:
        return 0
