"""An operator asks what is wrong, and is told what to do about it."""

import pytest

from deploy.cli.check import check_kafka, findings_of_redis
from shared.adapters.memory_bus import MemoryBus

GOOD = {"redis_version": "7.4.1", "maxmemory_policy": "noeviction", "aof_enabled": "1"}


@pytest.mark.parametrize(
    ("found", "remedies"),
    [
        ({}, []),
        ({"aof_enabled": "0"}, []),
        ({"redis_version": "6.0.16"}, ["6.2 or newer is needed"]),
        ({"redis_version": "10.0.0"}, []),
        ({"maxmemory_policy": "allkeys-lru"}, ["set maxmemory-policy noeviction"]),
    ],
)
def test_a_redis_that_loses_tasks_is_refused(found: dict[str, str], remedies: list[str]) -> None:
    findings = findings_of_redis({**GOOD, **found})

    assert [finding.remedy for finding in findings if not finding.is_good] == remedies


@pytest.mark.parametrize(
    ("partitions", "said"),
    [
        (64, "ok   Kafka topics: all 15 are there"),
        (4, "ok   Kafka topics: four partitions each: the embedded broker"),
        (8, "tokens has 8 of 64 partitions"),
    ],
)
async def test_topics_must_be_as_wide_as_their_readers_expect(partitions: int, said: str) -> None:
    finding = await check_kafka(MemoryBus(partitions=partitions))

    assert said in str(finding)
    assert finding.is_good == str(finding).startswith("ok")
