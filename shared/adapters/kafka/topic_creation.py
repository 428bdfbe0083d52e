"""Topics are made once, before the first service starts, with the width their readers count on."""

import logging
from collections.abc import Sequence
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import IncompatibleBrokerVersion, for_code

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
            topic_configs=dict(topic.settings()),
        )
        for topic in topics
    ]
    admin = AIOKafkaAdminClient(**link.arguments())
    try:
        async with link.answering():
            await admin.start()
            answer = await admin.create_topics(wanted)
    except Unavailable as error:
        if not isinstance(error.__cause__, IncompatibleBrokerVersion):
            raise
        log.info("this broker makes topics on first use", extra={"servers": servers})
    else:
        _must_all_exist(answer.topic_errors)
    finally:
        await admin.close()


def _must_all_exist(answers: Sequence[tuple[str, int, str | None]]) -> None:
    for topic, code, why in answers:
        if code not in (_NO_ERROR, _ALREADY_EXISTS):
            raise Unavailable(f"topic {topic} was not made: {for_code(code).__name__}: {why}")
