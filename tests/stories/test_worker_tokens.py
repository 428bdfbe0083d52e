"""What a client can read leaves the worker in order; what shows nothing waits for what does."""

import pytest

from services.worker.engine import Piece
from services.worker.roster import Run, job_id_of
from services.worker.token_stream import Sender, TokensLost, TokenStream
from shared.adapters.clock import LoopClock
from shared.adapters.memory_bus import MemoryBus
from shared.domain.outcome import FinishReason
from shared.messages.catalogue import TokensProduced
from shared.messages.logprobs import TokenLogprob
from tests.stories.worker_bench import FIRST, a_dispatch

# Half a character, for one.
MUTE = Piece(tokens=1)


def a_stream(bus: MemoryBus) -> TokenStream:
    dispatched = a_dispatch()
    run = Run(
        id=job_id_of(dispatched.task.id, FIRST),
        dispatched=dispatched,
        received_at=0.0,
        leased_until=1e9,
    )
    return Sender(bus=bus, clock=LoopClock()).open(run)


def sent(bus: MemoryBus) -> list[TokensProduced]:
    return [message for message in bus.published if isinstance(message, TokensProduced)]


async def test_the_first_text_leaves_at_once_also_when_mute_tokens_came_before_it() -> None:
    bus = MemoryBus()
    stream = a_stream(bus)

    for piece in (MUTE, MUTE, Piece(text="\u00e9", tokens=1)):
        await stream.push(piece)

    (first,) = sent(bus)
    assert (first.sequence, first.text, first.tokens) == (0, "\u00e9", 3)
    assert first.kind == stream.run.task.kind


async def test_a_piece_that_no_record_can_hold_ends_its_attempt_and_not_its_worker() -> None:
    stream = a_stream(MemoryBus())

    with pytest.raises(TokensLost, match="more than a record's"):
        await stream.push(Piece(text="x" * 3_000_000, tokens=1))


async def test_tokens_that_show_nothing_are_not_sent_and_still_counted() -> None:
    bus = MemoryBus()
    stream = a_stream(bus)

    await stream.push(MUTE)
    await stream.flush(MUTE)
    before_its_end = sent(bus)
    await stream.push(Piece(tokens=1, finish_reason=FinishReason.LENGTH))

    assert before_its_end == []
    assert [piece.tokens for piece in sent(bus)] == [2]


async def test_what_is_known_of_a_token_travels_with_the_text_that_it_ends() -> None:
    bus = MemoryBus()
    stream = a_stream(bus)
    half, whole = (TokenLogprob(token=text, logprob=-0.5) for text in ("", "\u00e9"))

    await stream.push(Piece(tokens=1, logprobs=(half,)))
    await stream.push(Piece(text="\u00e9", tokens=1, logprobs=(whole,)))
    await stream.push(Piece(finish_reason=FinishReason.STOP))

    assert [piece.logprobs for piece in sent(bus)] == [(half, whole), None]
