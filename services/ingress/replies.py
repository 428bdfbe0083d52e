"""Answers come back on one partition, leased by this ingress and read by nobody else."""

import asyncio
import contextlib
import logging
import uuid
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from services.ingress.conversation import Conversation
from services.ingress.errors import OutOfReach
from services.ingress.ports import ReplyLeases
from shared.domain.clock import Clock
from shared.domain.errors import CatoError, Unavailable
from shared.domain.task import ReplyAddress, TaskId
from shared.messages.bus import Bus, Record, Start, Subscription
from shared.messages.catalogue import TaskEnded, TokensProduced
from shared.messages.message import Message
from shared.telemetry import instruments, names
from shared.telemetry.attainment import RecentPromises

log = logging.getLogger(__name__)

_RENEW_EVERY_S: Final = 2.0
_RETRY_AFTER_S: Final = 1.0


class LeaseLost(CatoError):
    """Another ingress reads this partition now."""


@dataclass(slots=True)
class Desk:
    """The open conversations of this life of the ingress, and where their answers arrive.

    `partition` is None while no lease is held or its reading has not begun; `open_bytes` are the
    bodies of the open conversations, and `promises` those lately kept, by model.
    """

    incarnation: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    partition: int | None = None
    conversations: dict[TaskId, Conversation] = field(default_factory=dict)
    promises: defaultdict[str, RecentPromises] = field(
        default_factory=lambda: defaultdict(RecentPromises)
    )
    open_bytes: Counter[str] = field(default_factory=Counter)

    def is_open(self) -> bool:
        return self.partition is not None

    def address(self) -> ReplyAddress:
        """Raises OutOfReach."""
        if self.partition is None:
            raise OutOfReach(
                "this ingress holds no reply partition now", retry_after_s=_RETRY_AFTER_S
            )
        return ReplyAddress(self.partition, self.incarnation)

    def add(self, conversation: Conversation) -> None:
        self.conversations[conversation.task_id] = conversation
        self.open_bytes[conversation.model] += conversation.body_bytes
        instruments.connections.set(len(self.conversations))

    def remove(self, conversation: Conversation) -> None:
        if self.conversations.get(conversation.task_id) is conversation:
            del self.conversations[conversation.task_id]
            self.open_bytes[conversation.model] -= conversation.body_bytes
            instruments.connections.set(len(self.conversations))

    def fail_all(self, why: str) -> None:
        for conversation in tuple(self.conversations.values()):
            conversation.fail(OutOfReach(why, retry_after_s=_RETRY_AFTER_S))


@dataclass(slots=True, kw_only=True)
class Replies:
    bus: Bus
    leases: ReplyLeases
    clock: Clock
    desk: Desk = field(default_factory=Desk)

    async def serve(self) -> None:
        """Hold a lease and read what arrives, until cancelled."""
        while True:
            partition = await self._acquire()
            try:
                await self._read(partition)
            except* LeaseLost:
                log.error("reply lease lost", extra={"partition": partition})
            finally:
                self.desk.partition = None
                self.desk.fail_all("this ingress lost the partition on which the answer arrives")
                await self._release(partition)

    async def hear(self, records: Sequence[Record[TokensProduced]]) -> None:
        desk = self.desk
        for record in records:
            produced = record.message
            if produced.reply_to.incarnation != desk.incarnation:
                _count_stale(produced)
                continue
            conversation = desk.conversations.get(produced.task_id)
            if conversation is not None:
                conversation.hear(produced)

    async def end(self, records: Sequence[Record[TaskEnded]]) -> None:
        now = self.clock.now()
        for record in records:
            ended = record.message
            if ended.reply_to.incarnation != self.desk.incarnation:
                _count_stale(ended)
                continue
            self.desk.promises[ended.model].ended(ended.kind, ended.outcome, now)
            conversation = self.desk.conversations.get(ended.task_id)
            if conversation is not None:
                conversation.end(ended)

    async def _read(self, partition: int) -> None:
        # Requests are taken only when both readings have begun, or a quick answer would be missed.
        behind = {"tokens", "endings"}

        def caught_up(what: str) -> None:
            behind.discard(what)
            if not behind:
                self.desk.partition = partition

        here = frozenset({partition})
        tokens = Subscription(
            message=TokensProduced,
            topic=TokensProduced.base_topic,
            partitions=here,
            start=Start.LATEST,
        )
        # Who is answered has his last piece already; only refusals wait for this.
        endings = Subscription(
            message=TaskEnded,
            topic=TaskEnded.base_topic,
            partitions=here,
            start=Start.LATEST,
            patience_s=0.05,
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(
                self.bus.consume(tokens, self.hear, caught_up=lambda: caught_up("tokens"))
            )
            group.create_task(
                self.bus.consume(endings, self.end, caught_up=lambda: caught_up("endings"))
            )
            group.create_task(self._keep(partition))

    async def _acquire(self) -> int:
        while True:
            try:
                return await self.leases.acquire(self.desk.incarnation)
            except Unavailable as error:
                log.warning("no reply partition yet", extra={"why": str(error)})
                await self.clock.sleep(_RETRY_AFTER_S)

    async def _keep(self, partition: int) -> None:
        """Raises LeaseLost; while Redis is away nobody else can take the lease either."""
        while True:
            await self.clock.sleep(_RENEW_EVERY_S)
            try:
                if not await self.leases.renew(partition, self.desk.incarnation):
                    raise LeaseLost
            except Unavailable as error:
                log.warning("lease not renewed", extra={"why": str(error)})

    async def _release(self, partition: int) -> None:
        with contextlib.suppress(Unavailable):
            await self.leases.release(partition, self.desk.incarnation)


def _count_stale(message: Message) -> None:
    instruments.stale_fences.add(1, {names.DESTINATION: message.base_topic})
