"""One open request: what was heard about its task, until somebody reads it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from services.ingress.errors import ClientLeft, OutOfReach
from shared.domain.errors import EngineFailed, TaskRejected
from shared.domain.fence import Fence
from shared.domain.outcome import DropReason, FinishReason, Outcome
from shared.domain.task import LatencyClass, TaskId
from shared.messages.catalogue import TaskEnded, TokensProduced, Usage
from shared.messages.logprobs import TokenLogprob

ANSWERED: Final = frozenset({Outcome.COMPLETED, Outcome.LATE})

# The ending travels apart from the last piece and may overtake it, but not by this much.
OVERTAKEN_S: Final = 10.0
# What an unread piece weighs beside its text.
_PIECE_BYTES: Final = 256
# And each token that was weighed for it.
_WEIGHED_BYTES: Final = 64


class Piece(BaseModel):
    """A part of the answer; the last one has `finish_reason` and `usage`."""

    model_config = ConfigDict(frozen=True)

    type: Literal["token"] = "token"
    text: str = ""
    tokens: int = 0
    logprobs: tuple[TokenLogprob, ...] | None = None
    delta: str | None = None
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    synthetic: bool = False
    kind: str | None = None
    latency_class: LatencyClass | None = None
    worker: str | None = None
    queued_s: float | None = None
    produced_at: float | None = None

    @classmethod
    def of(cls, produced: TokensProduced) -> "Piece":
        return cls.model_construct(
            text=produced.text,
            tokens=produced.tokens,
            logprobs=produced.logprobs,
            delta=produced.delta,
            finish_reason=produced.finish_reason,
            usage=produced.usage,
            synthetic=produced.synthetic,
            kind=produced.kind,
            latency_class=produced.latency_class,
            worker=produced.worker,
            queued_s=produced.queued_s,
            produced_at=produced.produced_at,
        )

    def has_content(self) -> bool:
        return bool(self.text or self.delta or self.finish_reason)

    def weight_bytes(self) -> int:
        weighed = sum(1 + len(each.top) for each in self.logprobs or ())
        return _PIECE_BYTES + len(self.text) + len(self.delta or "") + _WEIGHED_BYTES * weighed


class Ending(BaseModel):
    """The task is over, and this is how."""

    model_config = ConfigDict(frozen=True)

    type: Literal["ended"] = "ended"
    outcome: Outcome
    kind: str | None = None
    latency_class: LatencyClass | None = None
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    ttft_s: float | None = None
    e2e_s: float | None = None
    dropped: DropReason | None = None
    retry_after_s: float | None = None
    error: str | None = None
    is_refused: bool = False

    @classmethod
    def of(cls, ended: TaskEnded) -> "Ending":
        return cls(**{name: getattr(ended, name) for name in cls.model_fields if name != "type"})


class StepEvent(BaseModel):
    """A step of a chain has begun to speak, or has said all it had to say."""

    model_config = ConfigDict(frozen=True)

    type: Literal["step"] = "step"
    state: Literal["started", "ended"]
    name: str
    kind: str
    stage: int
    branch: int
    worker: str
    output: str | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Broken:
    """This ingress cannot go on with it, whatever became of the task."""

    error: TaskRejected


Event = Piece | StepEvent | Ending | Broken


@dataclass(slots=True, eq=False, kw_only=True)
class Conversation:
    """Every attempt to speak out of turn (older fence, repeated piece) is not heard.

    `cut_off` is called once, when more lies unread than `buffer_bytes`, and `on_close` when nobody
    listens any more.
    """

    task_id: TaskId
    model: str = ""
    body_bytes: int = 0
    buffer_bytes: int
    cut_off: Callable[[], None] = lambda: None
    on_close: Callable[[], object] = lambda: None
    # The last word was said; `is_settled` when it was the task's own, and nothing is left of it.
    is_over: bool = False
    is_settled: bool = False
    has_left: bool = False
    fence: Fence | None = None
    _has_spoken: bool = False
    _next_sequence: int = 0
    _events: list[Event] = field(default_factory=list)
    _unread_bytes: int = 0
    _waiter: asyncio.Future[None] | None = None
    _overtaking: asyncio.TimerHandle | None = None

    def hear(self, produced: TokensProduced) -> None:
        if self.is_over or not self._is_in_turn(produced):
            return
        self._next_sequence = produced.sequence + 1
        piece = Piece.of(produced)
        if piece.has_content():
            self._has_spoken = True
            self.say(piece)

    def end(self, ended: TaskEnded) -> None:
        if self.is_over:
            self.is_settled = True
            return
        ending = Ending.of(ended)
        if ended.outcome in ANSWERED:
            loop = asyncio.get_running_loop()
            self._overtaking = loop.call_later(OVERTAKEN_S, self.say, ending)
        else:
            self.say(ending)

    def say(self, event: Event) -> None:
        """Hand the next event to the reader; nothing is said after the end."""
        if self.is_over or self.has_left:
            return
        self._events.append(event)
        if isinstance(event, Piece):
            self.is_over = self.is_settled = event.finish_reason is not None
            self._unread_bytes += event.weight_bytes()
        elif not isinstance(event, StepEvent):
            self.is_over, self.is_settled = True, isinstance(event, Ending)
        self._wake()
        if self._unread_bytes > self.buffer_bytes:
            self.leave()
            self.cut_off()

    def fail(self, error: TaskRejected) -> None:
        self.say(Broken(error))

    def leave(self) -> None:
        """Nobody will read on."""
        self.has_left = True
        self._events.clear()
        self._wake()

    def close(self) -> bool:
        """True when the task has still to be told that nobody wants it."""
        self.has_left = True
        self.on_close()
        if self._overtaking is not None:
            self._overtaking.cancel()
        return not self.is_settled

    async def next(self, within_s: float | None = None) -> Sequence[Event]:
        """All that was heard meanwhile, at least one event; nothing when none came in time.

        Raises ClientLeft.
        """
        if not self._events and not self.has_left:
            await self._arrival(within_s)
        if self.has_left:
            raise ClientLeft
        events, self._events, self._unread_bytes = self._events, [], 0
        return events

    async def heard_out(self, within_s: float) -> Sequence[Event]:
        """All that was said until the last word, or for so long; it stays to be read."""
        loop = asyncio.get_running_loop()
        until_at = loop.time() + within_s
        while not (self.is_over or self.has_left) and (left_s := until_at - loop.time()) > 0:
            await self._arrival(left_s)
        return tuple(self._events)

    def _is_in_turn(self, produced: TokensProduced) -> bool:
        if self.fence is None or (not self._has_spoken and produced.fence > self.fence):
            self.fence, self._next_sequence = produced.fence, 0
        if produced.fence > self.fence:
            # The newer attempt is of no use to somebody who has read a part of the older one.
            self.fail(EngineFailed("the worker was lost in the middle of the answer"))
            return False
        if produced.fence < self.fence or produced.sequence < self._next_sequence:
            return False
        if produced.sequence > self._next_sequence:
            self.fail(OutOfReach("a part of the answer was lost on its way"))
            return False
        return True

    async def _arrival(self, within_s: float | None) -> None:
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = None if within_s is None else loop.call_later(within_s, self._wake)
        try:
            await self._waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
