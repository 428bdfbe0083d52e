"""The ingress makes a promise for each request it accepts, and holds the client's line open."""

import logging
import uuid
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Final

from services.ingress.asked import Asked
from services.ingress.call import too_large
from services.ingress.chained import ChainConversation
from services.ingress.conversation import Conversation
from services.ingress.errands import Errands
from services.ingress.errors import OutOfReach
from services.ingress.exchange import Exchange
from services.ingress.gate import Gate
from services.ingress.journal import Facts, Journal, Scribe, facts_about
from services.ingress.vigil import Vigil
from shared.domain.clock import Clock
from shared.domain.errors import Unavailable
from shared.domain.task import TaskId
from shared.messages.bus import Bus, Position
from shared.messages.catalogue import TaskCancelled, TaskSubmitted
from shared.messages.topics import MAX_BODY_BYTES, MAX_RECORD_BYTES
from shared.tasks.chain import MOST_KEPT_BYTES
from shared.telemetry import names
from shared.telemetry.tracing import record_span

log = logging.getLogger(__name__)

_RETRY_AFTER_S: Final = 1.0
# Numbers may grow when they are written again (1e9); below this no body can outgrow a record.
_SURELY_FITS_BYTES: Final = MAX_RECORD_BYTES // 4
_LAST_WORDS_S: Final = 2.0
_WATCH_S: Final = 0.05


@dataclass(slots=True, kw_only=True)
class Ingress:
    bus: Bus
    clock: Clock
    gate: Gate
    journal: Journal
    vigil: Vigil
    errands: Errands = field(default_factory=Errands)

    async def open(self, asked: Asked) -> Conversation:
        """Accept it, or raise TaskRejected or Unavailable; whoever opens has to close."""
        conversation, acknowledgement = await self._submit(asked)
        self.errands.run(self._await_acceptance(asked, conversation, acknowledgement))
        return conversation

    async def close(self, conversation: Conversation, exchange: Exchange) -> None:
        """The client has its answer, or left: then nobody wants the task any more."""
        await self.abandon(conversation, exchange.asked, exchange.used_tokens())
        exchange.finish(self.clock.now())

    async def abandon(self, conversation: Conversation, asked: Asked, used_tokens: int = 0) -> None:
        """Nobody listens here any more; what the client was not shown it did not use."""
        if conversation.close() and not asked.detached:
            await self._cancel(conversation)
        self.gate.desk.remove(conversation)
        if asked.tenant.has_quota() and not asked.detached:
            self.errands.run(self.gate.settle(asked, used_tokens))

    async def detach(self, asked: Asked) -> Facts:
        """Accept a task that goes on when its client leaves; returns when Kafka has it.

        Raises TaskRejected, Unavailable.
        """
        writer, expected_s = self.gate.desk.incarnation, self.gate.expected_s(asked)
        facts = facts_about(asked, expected_s=expected_s, ingress=writer)
        await self.journal.begin(asked, facts)
        conversation, acknowledgement = await self._submit(asked)
        scribe = Scribe(
            journal=self.journal,
            asked=asked,
            facts=facts,
            byte_cap=self.gate.knobs.event_bytes,
        )
        self.errands.run(self._write_down(scribe, conversation))
        await self._acceptance(asked, conversation, acknowledgement)
        return facts

    async def once(self, asked: Asked, digest: str) -> TaskId:
        """The task that the client's key stands for, accepted now or known from before.

        Raises TaskRejected, Unavailable.
        """
        task_id = await self.journal.claim(asked, digest)
        if task_id != asked.task_id and await self.vigil.is_abandoned(task_id):
            await self.vigil.bury(task_id)
            await self.cancel(task_id, asked.model)
            await self.journal.forget(asked)
            task_id = await self.journal.claim(asked, digest)
        if task_id == asked.task_id:
            try:
                await self.detach(asked)
            except BaseException:
                await self.journal.forget(asked)
                raise
        return task_id

    def listen(self, task_id: TaskId) -> Conversation:
        """What was and will be heard about a detached task, from its beginning."""
        listener = Conversation(task_id=task_id, buffer_bytes=self.gate.knobs.event_bytes)
        following = self.errands.run(self._follow(task_id, listener))
        listener.on_close = following.cancel
        return listener

    async def cancel(self, task_id: TaskId, model: str) -> None:
        """Raises Unavailable."""
        cancelled = TaskCancelled(task_id=task_id, at=self.clock.now(), model=model)
        await (await self.bus.publish(cancelled))

    async def drain(self, within_s: float) -> None:
        """Take nothing new, and let what is open come to its end."""
        self.gate.is_closed = True
        desk, limit = self.gate.desk, self.clock.monotonic() + within_s
        while desk.conversations and self.clock.monotonic() < limit:
            await self.clock.sleep(_WATCH_S)
        desk.fail_all("this ingress is shutting down")
        await self.errands.finish(_LAST_WORDS_S)

    def is_ready(self) -> bool:
        return (
            not self.gate.is_closed and self.gate.desk.is_open() and self.gate.backlogs.is_ready()
        )

    async def _follow(self, task_id: TaskId, listener: Conversation) -> None:
        async with self.vigil.over(task_id):
            await self.journal.follow(task_id, listener)

    async def _submit(self, asked: Asked) -> tuple[Conversation, Awaitable[Position]]:
        self.gate.check_open()
        self.gate.admit(asked)
        submitted = asked.submitted(self.gate.desk.address())
        _check_size(asked, submitted)
        await self.gate.reserve(asked)
        conversation = self._conversation(asked)
        self.gate.desk.add(conversation)
        try:
            return conversation, await self.bus.publish(submitted)
        except BaseException:
            self.gate.desk.remove(conversation)
            self.errands.run(self.gate.settle(asked, 0))
            raise

    def _conversation(self, asked: Asked) -> Conversation:
        knobs = self.gate.knobs
        if asked.body.stages:
            return ChainConversation(
                task_id=asked.task_id,
                model=asked.model,
                body_bytes=asked.size_bytes,
                # Told in one piece, to somebody in this process.
                buffer_bytes=max(knobs.client_buffer_bytes, 2 * MOST_KEPT_BYTES),
                stages=asked.body.stages,
            )
        return Conversation(
            task_id=asked.task_id,
            model=asked.model,
            body_bytes=asked.size_bytes,
            # Who writes it down for later may have to wait until Redis is back.
            buffer_bytes=knobs.event_bytes if asked.detached else knobs.client_buffer_bytes,
        )

    async def _await_acceptance(
        self, asked: Asked, conversation: Conversation, acknowledgement: Awaitable[Position]
    ) -> None:
        try:
            await self._acceptance(asked, conversation, acknowledgement)
        except OutOfReach as error:
            conversation.fail(error)

    async def _acceptance(
        self, asked: Asked, conversation: Conversation, acknowledgement: Awaitable[Position]
    ) -> None:
        """Raises OutOfReach; the record may still arrive, so it is cancelled as well."""
        try:
            await acknowledgement
        except Unavailable as error:
            log.warning("task not accepted", extra={"task_id": asked.task_id, "why": str(error)})
            refused = OutOfReach("the task could not be accepted", retry_after_s=_RETRY_AFTER_S)
            conversation.fail(refused)
            raise refused from error
        record_span(
            names.SPAN_ACCEPT,
            parent=asked.root.traceparent,
            start_at=asked.received_at,
            end_at=self.clock.now(),
            attributes={names.TASK_ID: asked.task_id},
        )

    async def _write_down(self, scribe: Scribe, conversation: Conversation) -> None:
        try:
            await scribe.write(conversation)
        finally:
            if conversation.close():
                await self._cancel(conversation)
            self.gate.desk.remove(conversation)
            usage = scribe.usage
            used = usage.prompt_tokens + usage.completion_tokens if usage else 0
            self.errands.run(self.gate.settle(scribe.asked, used))

    async def _cancel(self, conversation: Conversation) -> None:
        task_id, model = conversation.task_id, conversation.model
        try:
            cancelled = TaskCancelled(task_id=task_id, at=self.clock.now(), model=model)
            await self.bus.publish(cancelled)
        except Unavailable as error:
            log.warning("task not cancelled", extra={"task_id": task_id, "why": str(error)})


def new_task_id() -> TaskId:
    return TaskId(uuid.uuid4().hex)


def _check_size(asked: Asked, submitted: TaskSubmitted) -> None:
    if asked.size_bytes <= _SURELY_FITS_BYTES:
        return
    size_bytes = len(submitted.encode())
    if size_bytes > MAX_BODY_BYTES:
        raise too_large(size_bytes, MAX_BODY_BYTES)
