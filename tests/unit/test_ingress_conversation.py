"""A conversation hears one attempt, in order, until somebody ends it."""

import asyncio

import pytest

from services.ingress.conversation import Broken, Conversation, Ending, Event, Piece
from services.ingress.errors import ClientLeft, OutOfReach
from shared.domain.fence import NO_FENCE, Fence
from shared.domain.outcome import FinishReason, Outcome
from shared.domain.task import LatencyClass, TaskId
from shared.messages.catalogue import TaskEnded, TokensProduced
from tests.builders import HERE


def a_conversation(buffer_bytes: int = 100_000) -> Conversation:
    return Conversation(task_id=TaskId("t"), buffer_bytes=buffer_bytes)


def a_piece(at: int, text: str = "x", *, fence: Fence, is_last: bool = False) -> TokensProduced:
    return TokensProduced(
        task_id=TaskId("t"),
        fence=fence,
        worker="w/1",
        reply_to=HERE,
        sequence=at,
        text=text,
        finish_reason=FinishReason.STOP if is_last else None,
    )


def an_ending(outcome: Outcome) -> TaskEnded:
    return TaskEnded(
        task_id=TaskId("t"),
        kind="completion",
        latency_class=LatencyClass.TTFT,
        tenant="local",
        outcome=outcome,
        fence=NO_FENCE,
        reply_to=HERE,
        received_at=0,
        ended_at=1,
    )


async def heard(conversation: Conversation) -> list[Event]:
    return list(await conversation.next(1.0))


async def test_an_attempt_that_said_nothing_may_be_followed_by_another_one() -> None:
    conversation = a_conversation()

    conversation.hear(a_piece(0, "", fence=Fence(1, 1)))
    conversation.hear(a_piece(0, "second", fence=Fence(1, 2)))
    conversation.hear(a_piece(1, "first", fence=Fence(1, 1)))

    assert [event.text for event in await heard(conversation) if isinstance(event, Piece)] == [
        "second"
    ]


async def test_an_attempt_that_was_heard_cannot_be_followed_by_another_one() -> None:
    conversation = a_conversation()

    conversation.hear(a_piece(0, fence=Fence(1, 1)))
    conversation.hear(a_piece(0, fence=Fence(2, 1)))

    assert isinstance((await heard(conversation))[-1], Broken)
    assert conversation.close(), "the newer attempt has still to be cancelled"


async def test_nothing_is_heard_after_the_last_piece() -> None:
    conversation = a_conversation()

    conversation.hear(a_piece(0, is_last=True, fence=Fence(1, 1)))
    conversation.hear(a_piece(1, fence=Fence(1, 1)))
    conversation.end(an_ending(Outcome.LATE))

    assert len(await heard(conversation)) == 1
    assert not conversation.close()


async def test_an_answer_whose_end_never_comes_is_told_as_lost() -> None:
    conversation = a_conversation()
    conversation.hear(a_piece(0, fence=Fence(1, 1)))
    await heard(conversation)

    conversation.end(an_ending(Outcome.COMPLETED))
    early = await conversation.next(1.0)
    late = await conversation.next(10.0)

    assert early == []
    assert [type(event) for event in late] == [Ending]


async def test_what_is_broken_here_may_still_end_there() -> None:
    conversation = a_conversation()

    conversation.fail(OutOfReach("the lease is lost"))
    conversation.end(an_ending(Outcome.FAILED))

    assert not conversation.close()


async def test_who_left_is_told_nothing_more() -> None:
    conversation = a_conversation()
    waiting = asyncio.ensure_future(conversation.next())
    await asyncio.sleep(0)

    conversation.leave()

    with pytest.raises(ClientLeft):
        await waiting
    with pytest.raises(ClientLeft):
        await conversation.next()


async def test_who_does_not_read_is_cut_off_once() -> None:
    cuts: list[None] = []
    conversation = a_conversation(buffer_bytes=1000)
    conversation.cut_off = lambda: cuts.append(None)

    for at in range(10):
        conversation.hear(a_piece(at, "x" * 200, fence=Fence(1, 1)))

    assert cuts == [None]
    assert conversation.close()
