"""The topics of the house: who writes each, how wide it is, and how long its records lie."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from shared.domain.task import LatencyClass
from shared.messages.catalogue import (
    AttemptEnded,
    TaskCancelled,
    TaskClassified,
    TaskDispatched,
    TaskEnded,
    TaskRevoked,
    TaskSubmitted,
    TokensProduced,
)
from shared.messages.message import Message
from shared.messages.pool import (
    BacklogReported,
    DeadLettered,
    LeaderElected,
    WorkerAdmitted,
    WorkerReported,
)

# 256 KiB of control characters are 1.6 MB of JSON. Brokers must take this and a batch's own head.
MAX_RECORD_BYTES: Final = 2 * 1024 * 1024
MAX_BATCH_BYTES: Final = MAX_RECORD_BYTES + 64 * 1024
# Of a body as it is encoded: each message about its task has more facts beside it.
MAX_BODY_BYTES: Final = MAX_RECORD_BYTES - 32 * 1024

# A reader asks for every partition in each fetch, and Python spells each one out: with 32 of
# them four hops take 1 ms more than with 8, and each costs 20 µs of CPU a fetch.
_SHARED = 4
# As many processes can lease a reply or a dispatch partition of their own.
_ADDRESSED = 64

_HOUR_S = 3600.0
_DAY_S = 24 * _HOUR_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """`retention_s` None keeps records for ever; a compacted topic keeps the last of each key.

    `holds_prompts`: its records carry what clients wrote, so its retention is a matter of privacy.
    """

    name: str
    message: type[Message]
    writer: str
    partitions: int
    retention_s: float | None
    is_compacted: bool = False
    holds_prompts: bool = False

    def settings(self, replication: int = 1) -> Mapping[str, str]:
        """The topic's settings, in Kafka's words.

        Without the last one Kafka acknowledges what only one of three replicas has.
        """
        policies = [
            *(["compact"] if self.is_compacted else []),
            *(["delete"] if self.retention_s is not None or not self.is_compacted else []),
        ]
        kept_ms = -1 if self.retention_s is None else round(self.retention_s * 1000)
        return {
            "cleanup.policy": ",".join(policies),
            "retention.ms": str(kept_ms),
            "max.message.bytes": str(MAX_BATCH_BYTES),
            "min.insync.replicas": str(max(1, replication - 1)),
        }


def _prompts(name: str, message: type[Message], writer: str, partitions: int) -> Topic:
    return Topic(
        name=name,
        message=message,
        writer=writer,
        partitions=partitions,
        retention_s=_DAY_S,
        holds_prompts=True,
    )


def _facts(
    name: str,
    message: type[Message],
    writer: str,
    partitions: int,
    retention_s: float | None = _HOUR_S,
    *,
    is_compacted: bool = False,
) -> Topic:
    return Topic(
        name=name,
        message=message,
        writer=writer,
        partitions=partitions,
        retention_s=retention_s,
        is_compacted=is_compacted,
    )


TOPICS: Final[tuple[Topic, ...]] = (
    _prompts("tasks.submitted", TaskSubmitted, "ingress", _SHARED),
    *(
        _prompts(TaskClassified.topic_of(latency_class), TaskClassified, "classifier", _SHARED)
        for latency_class in LatencyClass
    ),
    _prompts("tasks.dispatched", TaskDispatched, "scheduler", _ADDRESSED),
    _facts("tasks.revoked", TaskRevoked, "scheduler", _ADDRESSED),
    Topic(
        name="tokens",
        message=TokensProduced,
        writer="worker",
        partitions=_ADDRESSED,
        retention_s=_HOUR_S,
        holds_prompts=True,
    ),
    # Steps of a chain bring their answers back in them.
    _prompts("attempts.ended", AttemptEnded, "worker", _SHARED),
    _facts("tasks.ended", TaskEnded, "scheduler", _ADDRESSED, 7 * _DAY_S, is_compacted=True),
    _facts("tasks.cancelled", TaskCancelled, "ingress", _SHARED, _DAY_S),
    _facts("workers.reported", WorkerReported, "worker", 1),
    _facts("workers.admitted", WorkerAdmitted, "scheduler", 1),
    _facts("backlog.reported", BacklogReported, "scheduler", 1),
    # Its offsets are epochs; they outlive every record, so the records may go.
    _facts("leaders.elected", LeaderElected, "scheduler", 1, 7 * _DAY_S),
    Topic(
        name="dead.letters",
        message=DeadLettered,
        writer="any",
        partitions=1,
        retention_s=7 * _DAY_S,
        holds_prompts=True,
    ),
)


def keeping_prompts(for_s: float) -> tuple[Topic, ...]:
    """All topics, those that hold what clients wrote with this retention."""
    return tuple(
        replace(topic, retention_s=for_s) if topic.holds_prompts else topic for topic in TOPICS
    )
