"""Tokens go to the reply partition of the client's ingress: the first text at once, more together.

One ticker serves all attempts. How long a token may wait for others is a matter of the promise:
whoever reads along sees 25 updates a second, whoever was promised a whole answer eight.
"""

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from services.worker.engine import Piece
from services.worker.roster import Run
from shared.domain.clock import Clock
from shared.domain.errors import CatoError, Unavailable
from shared.domain.task import LatencyClass
from shared.messages.bus import Bus, Position
from shared.messages.catalogue import TokensProduced
from shared.messages.logprobs import TokenLogprob

log = logging.getLogger(__name__)

_TICK_S: Final = 0.04
# Every so many ticks, all of a class together: what costs is the record batch, not the piece.
_TICKS: Final = {LatencyClass.TTFT: 1, LatencyClass.E2E: 3, LatencyClass.BATCH: 3}


class LeaseRanOut(CatoError):
    """Somebody else may speak for the task now; say nothing more."""


class TokensLost(CatoError):
    """Kafka did not or cannot take a piece of the answer, so the rest of it would have a gap."""


@dataclass(slots=True, eq=False, kw_only=True)
class TokenStream:
    """The answer of one attempt, on its way."""

    run: Run
    sender: "Sender"
    sequence: int = 0
    texts: list[str] = field(default_factory=list)
    tokens: int = 0
    logprobs: list[TokenLogprob] = field(default_factory=list)
    # The ticker and the attempt both send; the pieces have to stay in order.
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def push(self, piece: Piece) -> None:
        """Raises LeaseRanOut, TokensLost, Unavailable."""
        self._note(piece)
        self.texts.append(piece.text)
        self.tokens += piece.tokens
        self.logprobs += piece.logprobs
        is_first = not self.sequence and piece.text
        if is_first or piece.delta is not None or piece.finish_reason is not None:
            await self.flush(piece)
        else:
            self.sender.unsent[self] = piece

    async def flush(self, last: Piece) -> None:
        async with self.lock:
            self.sender.unsent.pop(self, None)
            # A token may show nothing: half a character, or what could begin a stop string.
            if not any(self.texts) and last.delta is None and last.finish_reason is None:
                return
            self._check()
            message = self._message(last)
            self.texts.clear()
            self.logprobs.clear()
            self.tokens = 0
            self.sequence += 1
            try:
                acknowledgement = await self.sender.bus.publish(message)
            except ValueError as error:
                raise TokensLost(f"a piece of the answer cannot be sent: {error}") from error
            self.sender.watch(self.run, acknowledgement)

    def _note(self, piece: Piece) -> None:
        """Keep what the attempt's end will tell."""
        run = self.run
        if piece.tokens or piece.text or piece.delta:
            run.last_token_at = self.sender.clock.now()
            if run.first_token_at is None:
                run.first_token_at = run.last_token_at
        run.tokens += piece.tokens
        run.finish_reason, run.usage = piece.finish_reason, piece.usage

    def _check(self) -> None:
        if self.sender.clock.monotonic() >= self.run.leased_until:
            raise LeaseRanOut("no report of this attempt was acknowledged in time")
        if self.run.undelivered is not None:
            raise TokensLost(self.run.undelivered)

    def _message(self, last: Piece) -> TokensProduced:
        run, is_first = self.run, self.sequence == 0
        started_at = run.received_at if run.started_at is None else run.started_at
        return TokensProduced(
            task_id=run.task.accepted_id,
            fence=run.dispatched.fence,
            worker=run.dispatched.worker,
            reply_to=run.task.reply_to,
            sequence=self.sequence,
            text="".join(self.texts),
            tokens=self.tokens,
            logprobs=tuple(self.logprobs) or None,
            delta=last.delta,
            queued_s=started_at - run.task.received_at if is_first else None,
            finish_reason=last.finish_reason,
            usage=last.usage,
            synthetic=last.is_synthetic,
            kind=run.task.kind if is_first else None,
            latency_class=run.task.latency_class if is_first else None,
            produced_at=self.sender.clock.now(),
            step=run.task.step,
        )


@dataclass(slots=True, kw_only=True)
class Sender:
    """The ticker that sends what attempts have gathered."""

    bus: Bus
    clock: Clock
    unsent: dict[TokenStream, Piece] = field(default_factory=dict)
    underway: asyncio.Queue[tuple[Run, Awaitable[Position]]] = field(default_factory=asyncio.Queue)

    def open(self, run: Run) -> TokenStream:
        return TokenStream(run=run, sender=self)

    def close(self, stream: TokenStream) -> None:
        """Nobody wants the rest."""
        self.unsent.pop(stream, None)
        stream.texts.clear()
        stream.logprobs.clear()

    def watch(self, run: Run, acknowledgement: Awaitable[Position]) -> None:
        """Hear of it without waiting for it."""
        self.underway.put_nowait((run, acknowledgement))

    async def keep_watching(self) -> None:
        """One by one, as they were sent: a coroutine for each would cost more than the sending."""
        while True:
            run, acknowledgement = await self.underway.get()
            try:
                await acknowledgement
            except Unavailable as error:
                run.undelivered = f"a piece was not delivered: {error}"
                log.error("piece lost", extra={"task_id": run.task.id, "error": str(error)})

    async def keep_sending(self) -> None:
        for tick in count(1):
            await self.clock.sleep(_TICK_S)
            for stream, piece in tuple(self.unsent.items()):
                if tick % _TICKS[stream.run.task.latency_class] == 0:
                    await self._send(stream, piece)

    async def _send(self, stream: TokenStream, piece: Piece) -> None:
        try:
            await stream.flush(piece)
        except LeaseRanOut:
            stream.run.stop(None)
        except CatoError as error:
            # Told to the attempt, which ends with it at its next piece.
            stream.run.undelivered = str(error)
