"""Detached tasks are written down as they happen, so that their clients can come and go."""

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

from pydantic import JsonValue, TypeAdapter

from services.ingress.answers import usage_of
from services.ingress.asked import Asked
from services.ingress.conversation import (
    ANSWERED,
    Broken,
    Conversation,
    Ending,
    Event,
    Piece,
    StepEvent,
)
from services.ingress.errors import ClientLeft
from services.ingress.ports import EventLog, Idempotency
from services.ingress.refusals import error_of
from shared.domain.chain import Stage
from shared.domain.clock import Clock
from shared.domain.errors import IdempotencyConflict, Unavailable, UnknownTask
from shared.domain.outcome import Outcome
from shared.domain.task import TaskId
from shared.messages.body import Body
from shared.messages.catalogue import Usage
from shared.tasks.parsing import PARSERS, parser_of

log = logging.getLogger(__name__)

_AGAIN_S: Final = 0.5

T = TypeVar("T")

Facts = dict[str, JsonValue]

_EVENTS: Final = TypeAdapter[Piece | StepEvent | Ending](Piece | StepEvent | Ending)


@dataclass(slots=True, kw_only=True)
class Journal:
    log: EventLog
    idempotency: Idempotency
    idempotency_ttl_s: float
    clock: Clock

    async def claim(self, asked: Asked, digest: str) -> TaskId:
        """The task that the client's key stands for: this one, unless the key was used before.

        Raises IdempotencyConflict, Unavailable.
        """
        answer = await self.idempotency.claim(
            asked.tenant.name,
            asked.headers.idempotency_key or "",
            digest,
            asked.task_id,
            self.idempotency_ttl_s,
        )
        if answer.is_conflict:
            raise IdempotencyConflict(
                "this key was used with another body; use a new key for a new request",
                param="idempotency-key",
                should_retry=False,
            )
        return answer.task_id

    async def forget(self, asked: Asked) -> None:
        """There was no answer, so the same key may try again."""
        if asked.headers.idempotency_key is not None:
            await self.idempotency.release(asked.tenant.name, asked.headers.idempotency_key)

    async def begin(self, asked: Asked, facts: Facts) -> None:
        await self.log.open(asked.task_id, asked.tenant.name, json.dumps(facts))

    async def insist(self, act: Callable[[], Awaitable[T]]) -> T:
        """Again and again while Redis is away; every act on the log is safe to repeat."""
        while True:
            try:
                return await act()
            except Unavailable as error:
                log.warning("not written down yet", extra={"why": str(error)})
                await self.clock.sleep(_AGAIN_S)

    async def facts_of(self, task_id: str, tenant: str) -> Facts:
        """Raises UnknownTask, also for the tasks of others; may raise Unavailable."""
        if await self.log.tenant_of(task_id) != tenant:
            raise unknown_task(task_id)
        facts = await self.told(task_id)
        if facts is None:
            raise unknown_task(task_id)
        return facts

    async def told(self, task_id: str) -> Facts | None:
        """What is written down of a task, whoever it belongs to; None where nothing is."""
        facts = await self.log.facts(task_id)
        return None if facts is None else dict(json.loads(facts))

    async def end(self, task_id: TaskId, ending: Ending) -> None:
        """Of a task without an answer that nobody else writes down any more."""
        tenant, facts = await self.log.tenant_of(task_id), await self.told(task_id)
        if tenant is not None and facts is not None:
            facts |= _told(ending) | _error(ending)
            await self.log.open(task_id, tenant, json.dumps(facts))
            await self.log.close(task_id, _encoded(ending))

    async def events(self, task_id: str, after: str | None) -> AsyncIterator[tuple[str, str]]:
        """Id and event, as they were and will be written down, though Redis is away meanwhile.

        Raises InvalidRequest for what was never the id of an event.
        """
        while True:
            try:
                async for event_id, event in self.log.read(task_id, after):
                    after = event_id
                    yield event_id, event
                return
            except Unavailable as error:
                log.warning("not read on yet", extra={"task_id": task_id, "why": str(error)})
                await self.clock.sleep(_AGAIN_S)

    async def follow(self, task_id: TaskId, listener: Conversation) -> None:
        """Say to the listener what was and will be written down about a task."""
        async for _, event in self.events(task_id, None):
            listener.say(_EVENTS.validate_json(event))
        listener.say(Ending(outcome=Outcome.FAILED, error="the end was not written down"))


@dataclass(slots=True, kw_only=True)
class Scribe:
    """Writes down one task from its first piece to its end."""

    journal: Journal
    asked: Asked
    facts: Facts
    byte_cap: int
    pieces: list[Piece] = field(default_factory=list)
    usage: Usage | None = None
    written_bytes: int = 0
    events: int = 0
    over: dict[int, set[int]] = field(default_factory=dict)

    async def write(self, conversation: Conversation) -> None:
        """However long Redis is away: the task goes on, and what it says waits here."""
        ending: Ending | None = None
        while ending is None:
            try:
                for event in await conversation.next():
                    ending = await self._note(event)
            except ClientLeft:
                ending = Ending(outcome=Outcome.FAILED, error="the answer was not read in time")
        await self._close(ending)

    async def _note(self, event: Event) -> Ending | None:
        match event:
            case Piece():
                await self._append(event)
                return _ended_with(event) if event.finish_reason else None
            case StepEvent():
                await self._follow(event)
                return None
            case Ending():
                return event
            case Broken(error):
                return Ending(outcome=Outcome.FAILED, error=error.message)

    async def _follow(self, event: StepEvent) -> None:
        """Facts tell where a chain stands."""
        self.facts |= {"status": "running"}
        calls = self.asked.body.stages[event.stage].branches
        over = self.over.setdefault(event.stage, set())
        (over.add if event.state == "ended" else over.discard)(event.branch)
        self._mark(event.stage, "ended" if len(over) == calls else "running")
        await self._save()
        await self._add(event)

    def _mark(self, stage: int, status: str) -> None:
        steps = self.facts["steps"]
        if isinstance(steps, list) and isinstance(told := steps[stage], dict):
            told["status"] = status

    async def _append(self, piece: Piece) -> None:
        if not self.pieces:
            self.facts |= {"status": "running", "kind": piece.kind or self.asked.kind}
            await self._save()
        if self.written_bytes <= self.byte_cap:
            self.pieces.append(piece)
        self.usage = piece.usage or self.usage
        self.written_bytes += piece.weight_bytes()
        await self._add(piece)

    async def _close(self, ending: Ending) -> None:
        answered = ending.outcome in ANSWERED and bool(self.pieces)
        self.facts |= _told(ending)
        for stage in set(range(len(self.asked.body.stages))) - self.over.keys():
            self._mark(stage, "skipped")
        if answered:
            self.facts["output"] = "".join(piece.text for piece in self.pieces)
        else:
            self.facts |= _error(ending)
            await self.journal.insist(partial(self.journal.forget, self.asked))
        await self._save()
        close = partial(self.journal.log.close, self.asked.task_id, _encoded(ending))
        await self.journal.insist(close)

    async def _save(self) -> None:
        facts = json.dumps(self.facts)
        task_id, tenant = self.asked.task_id, self.asked.tenant.name
        await self.journal.insist(partial(self.journal.log.open, task_id, tenant, facts))

    async def _add(self, event: Piece | StepEvent) -> None:
        self.events += 1
        task_id, encoded = self.asked.task_id, _encoded(event)
        add = partial(self.journal.log.append, task_id, encoded, self.events)
        if not await self.journal.insist(add):
            # Redis may have lost its memory: whoever asks is to find the task all the same.
            await self._save()


def facts_about(asked: Asked, *, expected_s: float, ingress: str) -> Facts:
    """`ingress` is the life of the one that writes down how it goes on."""
    return {
        "id": asked.task_id,
        "object": "task",
        "status": "queued",
        "kind": asked.kind,
        "model": asked.model,
        "ingress": ingress,
        "created_at": asked.received_at,
        "predicted_finish_at": asked.received_at + expected_s,
        "output": None,
        "error": None,
        **(_facts_about_chain(asked.body) if asked.body.stages else {}),
    }


def _facts_about_chain(body: Body) -> Facts:
    """What cannot be checked is not passed over in silence."""
    target = body.target_language
    if target is None or parser_of(target) is not None:
        return {"steps": _steps(body.stages)}
    known = ", ".join(PARSERS)
    unchecked = f"nobody looks whether the answer parses: there are parsers for {known}"
    return {"steps": _steps(body.stages), "unchecked": unchecked}


def _steps(stages: Sequence[Stage]) -> list[JsonValue]:
    """One that depends on whether an answer parses may stay as it is."""
    return [
        {
            "name": stage.name,
            "kind": stage.kind,
            "calls": stage.branches,
            "status": "waiting",
            **({"unless_parses": stage.unless_parses} if stage.unless_parses else {}),
        }
        for stage in stages
    ]


def unknown_task(task_id: str) -> UnknownTask:
    return UnknownTask(f"no task {task_id[:64]!r}; it may have been forgotten", param="id")


def _ended_with(last: Piece) -> Ending:
    """Whether it was in time is the scheduler's to say; the client has its answer."""
    return Ending(
        outcome=Outcome.COMPLETED,
        kind=last.kind,
        latency_class=last.latency_class,
        finish_reason=last.finish_reason,
        usage=last.usage,
    )


def _told(ending: Ending) -> Facts:
    return {
        "status": "ended",
        "outcome": ending.outcome.value,
        "finish_reason": ending.finish_reason,
        "usage": usage_of(ending.usage) if ending.usage else None,
    }


def _error(ending: Ending) -> Facts:
    return {"error": dict(error_of(ending).as_openai())}


def _encoded(event: Piece | StepEvent | Ending) -> str:
    return event.model_dump_json(exclude_none=True)
