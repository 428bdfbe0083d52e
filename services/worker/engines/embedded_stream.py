"""One answer of the embedded engine, between the steps that write it and whoever reads it."""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from services.worker.engine import Piece
from services.worker.engines.embedded_batch import Member
from services.worker.engines.stopping import StopScanner
from shared.domain.outcome import FinishReason
from shared.messages.catalogue import Usage
from shared.messages.logprobs import Likelihood, TokenLogprob

if TYPE_CHECKING:
    from services.worker.engines.embedded_choice import Choice, Chosen
    from services.worker.engines.embedded_text import Writer


@dataclass(slots=True, eq=False, kw_only=True)
class Stream:
    """`start` is where the answer begins in the member's tokens; `cut` are those of the prompt that
    are still to be chosen anew.
    """

    member: Member
    prompt_tokens: int
    start: int
    cut: tuple[int, ...]
    choice: "Choice"
    writer: "Writer"
    scanner: StopScanner
    end: int
    max_tokens: int
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    text: str = ""
    logprobs: list[TokenLogprob] = field(default_factory=list)
    taken: int = 0
    finish_reason: FinishReason | None = None
    is_aborted: bool = False

    def emit(self, chosen: "Chosen") -> None:
        token = chosen.token
        if token == self.end:
            self._finish(FinishReason.STOP)
            return
        self.member.tokens.append(token)
        top = self._top(chosen)
        written = self.writer.write(token)
        self.text += self.scanner.feed(written)
        if self.cut and token == self.cut[0]:
            # The prompt as it was, and nothing of the answer yet.
            self.start, self.cut = self.start + 1, self.cut[1:]
            return
        self.cut = ()
        if chosen.logprob is not None:
            self.logprobs.append(TokenLogprob(token=written, logprob=chosen.logprob, top=top))
        self.ready.set()
        if self.scanner.is_stopped:
            self.finish_reason = FinishReason.STOP
        elif self.emitted() >= self.max_tokens:
            self._finish(FinishReason.LENGTH)

    def emitted(self) -> int:
        return len(self.member.tokens) - self.start

    def take(self) -> Piece:
        """All that was emitted since."""
        self.ready.clear()
        emitted, text = self.emitted(), self.text
        tokens, self.taken, self.text = emitted - self.taken, emitted, ""
        logprobs, self.logprobs = tuple(self.logprobs), []
        usage = Usage(prompt_tokens=self.prompt_tokens, completion_tokens=emitted)
        return Piece(
            text=text,
            tokens=tokens,
            logprobs=logprobs,
            finish_reason=self.finish_reason,
            usage=usage if self.finish_reason else None,
        )

    def _top(self, chosen: "Chosen") -> tuple[Likelihood, ...]:
        """Before the token is written: where the cursor cut a word, only its rest counts."""
        return tuple(
            Likelihood(token=self.writer.would_write(token), logprob=logprob)
            for token, logprob in chosen.top
        )

    def _finish(self, reason: FinishReason) -> None:
        self.text += self.scanner.feed(self.writer.rest()) + self.scanner.rest()
        self.finish_reason = reason
        self.ready.set()
