"""Topics are made once, before the first service starts, with the width their readers count on."""

import logging
from collections.abc import Sequence
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import for_code

from shared.adapters.kafka.connection import PLAINTEXT, KafkaLink, KafkaSecurity
from shared.domain.errors import Unavailable
from shared.messages.topics import TOPICS, Topic

log = logging.getLogger(__name__)

_ALREADY_EXISTS: Final = 36
_NO_ERROR: Final = 0


async def create_topics(
    servers: str,
    *,
    topics: Sequence[Topic] = TOPICS,
    security: KafkaSecurity = PLAINTEXT,
    topic_prefix: str = "",
    replication: int = 1,
) -> None:
    """Make those that do not exist; what exists stays as it is. Raises Unavailable.

    The embedded broker cannot be asked: it makes each topic on first use, four partitions wide.
    """
    link = KafkaLink(servers=servers, security=security, topic_prefix=topic_prefix)
    wanted = [
        NewTopic(
            name=link.name(topic.name),
            num_partitions=topic.partitions,
            replication_factor=replication,
            topic_configs=dict(topic.settings(replication)),
        )
        for topic in topics
    ]
    if not await _takes_orders(link):
        log.info("this broker makes topics on first use", extra={"servers": servers})
        return
    admin = AIOKafkaAdminClient(**link.arguments())
    try:
        async with link.answering():
            await admin.start()
            answer = await admin.create_topics(wanted)
    finally:
        await admin.close()
    _must_all_exist(answer.topic_errors)


async def _takes_orders(link: KafkaLink) -> bool:
    """Does the cluster name a controller, which is who makes topics?"""
    client = AIOKafkaClient(**link.arguments())
    try:
        async with link.answering():
            await client.bootstrap()
        return client.cluster.controller is not None
    finally:
        await client.close()


def _must_all_exist(answers: Sequence[tuple[str, int, str | None]]) -> None:
    for topic, code, why in answers:
        if code not in (_NO_ERROR, _ALREADY_EXISTS):
            raise Unavailable(f"topic {topic} was not made: {for_code(code).__name__}: {why}")
