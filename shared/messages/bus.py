"""The bus carries messages between services; this is all that a service knows of Kafka."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from shared.messages.message import Message

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Position:
    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Generic[M]):
    """One message as it was read. `headers` are those of the record, decoded."""

    message: M
    position: Position
    headers: Mapping[str, str]


class Start(StrEnum):
    """Where a reader begins when it has committed nothing."""

    EARLIEST = "earliest"
    LATEST = "latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription(Generic[M]):
    """What to read and from where.

    With a `group` and no `partitions` the group's members share the topic; with both, exactly these
    partitions are read and the group only remembers offsets; without a group nothing is remembered.
    `partitions` empty and no group: all partitions of the topic. `patience_s` is how long a record
    may lie so that several are read together: each reading costs both sides a round trip.
    """

    message: type[M]
    topic: str
    group: str | None = None
    partitions: frozenset[int] = frozenset()
    start: Start = Start.EARLIEST
    patience_s: float = 0.0


class Bus(Protocol):
    """Delivery is at least once; order holds within a partition.

    Every method raises Unavailable when the broker cannot be reached within its time limit.
    """

    async def publish(self, message: Message) -> Awaitable[Position]:
        """Returns as soon as the record has its place in line; await the result for Kafka's word.

        Calls from one task keep their order. A record nobody awaited and Kafka refused is logged.
        Raises ValueError when the encoded record is larger than the limit.
        """
        ...

    async def consume(
        self,
        subscription: Subscription[M],
        handle: Callable[[Sequence[Record[M]]], Awaitable[None]],
        *,
        caught_up: Callable[[], None] = lambda: None,
    ) -> None:
        """Hand over batches until cancelled; offsets are committed after `handle`, at most 1 s on.

        `caught_up` is called once, when all that lay there at the start has been handled.
        A record that does not parse goes to dead.letters with the reason. `handle` may raise
        Unavailable: the batch is offered again, with growing pauses. On any other exception the
        batch is offered record by record, and a record that fails alone goes to dead.letters.
        Deposed ends the reading; what was not handled is left for whoever leads now.
        """
        ...

    def replay(
        self, subscription: Subscription[M], *, since: Mapping[int, int] | None = None
    ) -> AsyncGenerator[Record[M], None]:
        """Read once from `since` (partition -> offset; default: beginning) to the present end."""
        ...

    async def offsets_since(self, topic: str, at: float) -> Mapping[int, int]:
        """Partition -> offset of the first record written since that instant, or its end.

        An empty partition, or one whose broker keeps no time, is left out. `at` is epoch seconds.
        """
        ...

    async def committed(self, topic: str, group: str) -> Mapping[int, int]:
        """Partition -> next offset, for the partitions where the group committed one."""
        ...

    async def commit(self, topic: str, group: str, offsets: Mapping[int, int]) -> None: ...

    async def partitions(self, topic: str) -> int: ...
