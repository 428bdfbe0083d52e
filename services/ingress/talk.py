"""An answer on its way to one client: first byte means first content, and silence is filled."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.ingress import sse
from services.ingress.answers import Answer
from services.ingress.call import Call
from services.ingress.conversation import Broken, Conversation, Ending, Event, Piece
from services.ingress.exchange import Exchange
from services.ingress.refusals import body_of, error_of
from services.ingress.settings import Knobs
from shared.domain.clock import Clock
from shared.domain.errors import TaskRejected


@dataclass(slots=True, kw_only=True)
class Talk:
    """Every method raises ClientLeft as soon as nobody reads any more."""

    call: Call
    conversation: Conversation
    exchange: Exchange
    answer: Answer
    clock: Clock
    knobs: Knobs

    async def watch(self) -> None:
        """Until the client leaves; it may do so at any time."""
        await self.call.until_gone()
        self.conversation.leave()

    async def tell_whole(self) -> None:
        """Raises TaskRejected."""
        pieces: list[Piece] = []
        while not pieces or pieces[-1].finish_reason is None:
            pieces += _pieces(await self.conversation.next())
            if self.exchange.first_at is None:
                self.exchange.begin(pieces[0])
            self.exchange.note(pieces[-1:], self.clock.now())
        self.exchange.tokens = sum(piece.tokens for piece in pieces)
        await self.call.answer_json(self.answer.whole(pieces), self.exchange.head())

    async def stream(self) -> None:
        """Raises TaskRejected while the head is held; later failures are told in the stream."""
        events = await self.conversation.next(self.knobs.head_s)
        if events:
            # A refusal still has a status of its own.
            _pieces(events[:1])
            self._begin(events)
        await self.call.head(200, (*sse.HEADERS, *self.exchange.head()))
        try:
            while not await self._write(events):
                events = await self.conversation.next(self.knobs.keep_alive_s)
        except TaskRejected as error:
            self.exchange.error_type = error.code
            await self.call.finish(sse.event(body_of(error)))

    async def _write(self, events: Sequence[Event]) -> bool:
        """Was that all?"""
        if not events:
            await self.call.write(sse.KEEP_ALIVE)
            return False
        pieces = [event for event in events if isinstance(event, Piece)]
        if pieces:
            await self._write_pieces(pieces)
        _pieces(events[len(pieces) :])
        return pieces[-1].finish_reason is not None

    async def _write_pieces(self, pieces: Sequence[Piece]) -> None:
        is_first = self.exchange.first_at is None
        content = b"".join(map(self.answer.chunk, pieces))
        if is_first:
            content = self.answer.first() + content
        if pieces[-1].finish_reason is None:
            await self.call.write(content)
        else:
            await self.call.finish(content + self.answer.last(pieces[-1].usage))
        self.exchange.note(pieces, self.clock.now())

    def _begin(self, events: Sequence[Event]) -> None:
        first = events[0]
        if isinstance(first, Piece):
            self.exchange.begin(first)


def _pieces(events: Sequence[Event]) -> list[Piece]:
    """Raises what ended the answer, where something did."""
    pieces: list[Piece] = []
    for event in events:
        match event:
            case Piece():
                pieces.append(event)
            case Ending():
                raise error_of(event)
            case Broken(error):
                raise error
    return pieces
