"""A completion is first asked of a small model, and of a large one where that does not do.

The small answer is kept back until it was judged. Both are asked within one promise; each is an
accepted task of its own, and whichever is not needed is cancelled.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import inf
from typing import Final, Self
from weakref import WeakValueDictionary

from services.ingress.admission import Backlog, likely_kind
from services.ingress.asked import Asked
from services.ingress.call import Call
from services.ingress.conversation import Broken, Conversation, Ending, Event, Piece
from services.ingress.errors import Superseded
from services.ingress.ingress import Ingress, new_task_id
from services.ingress.refusals import superseded
from shared.domain.errors import TaskRejected, Unavailable
from shared.domain.outcome import FinishReason, Outcome
from shared.domain.task import LatencyClass
from shared.messages.logprobs import probability
from shared.tasks.completion import COMPLETION
from shared.tasks.gap import Gap
from shared.telemetry import instruments, names

# What the house adds to an engine's own time, twice what it usually is.
_HOPS_S: Final = 0.02
_UNWANTED: Final = frozenset({Outcome.CANCELLED, Outcome.SUPERSEDED})


class Choice(StrEnum):
    """Who answers, and why."""

    FITS = "small_fits"
    ALONE = "small_alone"  # the large model could not make it any more, or did not take it
    UNFIT = "large_unfit"  # the small answer was cut off, or would break the code
    UNSURE = "large_unsure"  # it fits, but the small model itself does not believe in it
    SLOW = "large_slow"  # it was not there when the large model had to be asked
    FAILED = "large_failed"  # there was none
    STRAIGHT = "large_straight"  # the small model has no time, or nobody could judge its answer
    NOBODY = "nobody"  # the client left, or asks for something newer


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long a whole small answer takes, and when the large model has to be asked at the latest.

    Seconds and epoch seconds, as the schedulers' last reports let expect.
    """

    small_s: float
    ask_large_at: float

    @classmethod
    def of(cls, asked: Asked, small: Backlog | None, large: Backlog | None) -> Self:
        owed = COMPLETION.promise.with_limits_of(asked.promise)
        tokens = min(asked.body.max_tokens, COMPLETION.prior.output_tokens_p50)
        step_s = inf if small is None else small.report.step_s
        return cls(
            small_s=_first_token_s(asked, small) + tokens * step_s,
            ask_large_at=asked.received_at + (owed.ttft_s or 0.0) - _first_token_s(asked, large),
        )


def _first_token_s(asked: Asked, backlog: Backlog | None) -> float:
    """From now on; never where nobody works."""
    if backlog is None or backlog.report.workers == 0:
        return inf
    report, wait_s = backlog.report, backlog.wait_s(LatencyClass.TTFT)
    return _HOPS_S + wait_s + report.step_s + asked.prompt_tokens * report.prompt_token_s


def judged(said: Sequence[Event], gap: Gap, confidence: float = 0.0) -> Choice:
    """By the small model until now; an answer that was cut off is not one to rely on.

    `confidence` is how probable a whole answer has to be.
    """
    match said[-1] if said else None:
        case None | Piece(finish_reason=None):
            return Choice.SLOW
        case Piece(finish_reason=FinishReason.STOP):
            return _judged_whole(
                [each for each in said if isinstance(each, Piece)], gap, confidence
            )
        case Piece():
            return Choice.UNFIT
        case Ending(outcome=outcome) if outcome in _UNWANTED:
            return Choice.NOBODY
        case Broken(Superseded()):
            return Choice.NOBODY
        case _:
            return Choice.FAILED


def _judged_whole(pieces: Sequence[Piece], gap: Gap, confidence: float) -> Choice:
    if not gap.takes("".join(piece.text for piece in pieces)):
        return Choice.UNFIT
    believed = probability([each for piece in pieces for each in piece.logprobs or ()])
    return Choice.FITS if believed >= confidence else Choice.UNSURE


@dataclass(slots=True, eq=False, kw_only=True, weakref_slot=True)
class Turn:
    """One client's request; `asked` is how it was put to the model that answers."""

    ingress: Ingress
    call: Call
    asked: Asked
    conversation: Conversation | None = None
    is_superseded: bool = False

    async def open(self) -> Conversation:
        """Of the model that answers. Raises TaskRejected, Unavailable."""
        large = self.asked
        if not _can_be_small(large):
            return await self._ask(large)
        small = replace(large, task_id=new_task_id(), model=large.small or large.model)
        choice, conversation = await self._choose(small, large)
        instruments.small_first.add(1, {names.MODEL: large.model, names.REASON: choice})
        return conversation

    def supersede(self) -> None:
        self.is_superseded = True
        if self.conversation is not None:
            self.conversation.fail(superseded())

    async def _ask(self, asked: Asked) -> Conversation:
        conversation = await self.ingress.open(asked)
        self.asked, self.conversation = asked, conversation
        if self.is_superseded:
            conversation.fail(superseded())
        return conversation

    async def _choose(self, small: Asked, large: Asked) -> tuple[Choice, Conversation]:
        backlogs = self.ingress.gate.backlogs
        times = Times.of(large, backlogs.of(small.model), backlogs.of(large.model))
        gap = Gap.between(large.body.prompt or "", large.body.suffix or "")
        left_s = times.ask_large_at - self.ingress.clock.now()
        if left_s >= 0 and (gap is None or times.small_s > left_s):
            return Choice.STRAIGHT, await self._ask(large)
        confidence = self.ingress.gate.knobs.small_first_confidence
        is_weighed = confidence > 0 and gap is not None and left_s >= 0
        try:
            tried = await self._ask(small.weighed() if is_weighed else small)
        except (TaskRejected, Unavailable):
            return Choice.FAILED, await self._ask(large)
        if gap is None or left_s < 0:
            return Choice.ALONE, tried
        choice = judged(await self._said(tried, left_s), gap, confidence)
        if tried.has_left or choice in (Choice.FITS, Choice.NOBODY):
            return choice, tried
        try:
            conversation = await self._ask(large)
        except (TaskRejected, Unavailable):
            # Whatever the small model says is better than a refusal.
            return Choice.ALONE, tried
        await self.ingress.abandon(tried, small)
        return choice, conversation

    async def _said(self, tried: Conversation, within_s: float) -> Sequence[Event]:
        """All of the answer, or as much as comes in time while the client is there."""
        leaving = asyncio.create_task(self._leave_with_client(tried))
        try:
            return await tried.heard_out(within_s)
        finally:
            leaving.cancel()

    async def _leave_with_client(self, tried: Conversation) -> None:
        await self.call.until_gone()
        tried.leave()


def _can_be_small(asked: Asked) -> bool:
    """Is somebody waiting for the completion of a text?"""
    if asked.small is None or asked.detached or asked.body.prompt is None:
        return False
    return likely_kind(asked.body, asked.kind) == COMPLETION.name


@dataclass(frozen=True, slots=True)
class SmallFirst:
    """The turns of all clients; a newer one of a session ends the older, whoever is asked for it.

    A scheduler sees to that within one pool only.
    """

    ingress: Ingress
    newest: WeakValueDictionary[str, Turn] = field(default_factory=WeakValueDictionary)

    def turn(self, call: Call, asked: Asked) -> Turn:
        turn = Turn(ingress=self.ingress, call=call, asked=asked)
        if asked.session is not None and _can_be_small(asked):
            older = self.newest.get(asked.session)
            if older is not None:
                older.supersede()
            self.newest[asked.session] = turn
        return turn
