"""How a task can end without an answer, in the words of the OpenAI API."""

import json
from collections.abc import Callable, Mapping
from math import ceil
from typing import Final

from services.ingress.conversation import ANSWERED, Ending
from services.ingress.errors import CancelledElsewhere, Superseded
from shared.domain.errors import (
    DeadlineExceeded,
    EngineFailed,
    InvalidRequest,
    Overloaded,
    TaskRejected,
)
from shared.domain.outcome import DropReason, Outcome

# What a client is told to wait when the scheduler did not say.
_SOME_S: Final = 1.0

Headers = list[tuple[bytes, bytes]]


def error_of(ending: Ending) -> TaskRejected:
    """Why there is no answer; an ending that had one has lost it on its way."""
    return _ERRORS[ending.outcome](ending)


def headers_of(error: TaskRejected) -> Headers:
    headers: Headers = []
    if error.retry_after_s is not None:
        wait_s = max(0.0, error.retry_after_s)
        headers.append((b"retry-after", b"%d" % max(1, ceil(wait_s))))
        headers.append((b"retry-after-ms", b"%d" % ceil(wait_s * 1000)))
    if error.should_retry is not None:
        headers.append((b"x-should-retry", b"true" if error.should_retry else b"false"))
    if error.dropped is not None:
        headers.append((b"x-cato-dropped-reason", error.dropped.encode()))
    return headers


def body_of(error: TaskRejected) -> bytes:
    return json.dumps({"error": error.as_openai()}).encode()


def _shed(ending: Ending) -> TaskRejected:
    return Overloaded(
        "given up under load; try again later",
        retry_after_s=_SOME_S if ending.retry_after_s is None else ending.retry_after_s,
        dropped=ending.dropped or DropReason.QUEUE_PRESSURE,
    )


def _expired(ending: Ending) -> TaskRejected:
    return DeadlineExceeded(
        "given up because the answer could only come when nobody wants it any more",
        should_retry=False,
        dropped=ending.dropped or DropReason.TTL_EXPIRED,
    )


def _failed(ending: Ending) -> TaskRejected:
    why = ending.error or "the engine failed"
    return InvalidRequest(f"the engine refused it: {why}") if ending.is_refused else _broke(why)


def _broke(why: str) -> TaskRejected:
    return EngineFailed(why)


def superseded() -> TaskRejected:
    return Superseded(
        "a newer request of the same session replaced this one",
        should_retry=False,
        dropped=DropReason.CONTEXT_CANCELLED,
    )


def _cancelled(_: Ending) -> TaskRejected:
    return CancelledElsewhere(
        "the task was cancelled", should_retry=False, dropped=DropReason.CONTEXT_CANCELLED
    )


_ERRORS: Final[Mapping[Outcome, Callable[[Ending], TaskRejected]]] = {
    **dict.fromkeys(ANSWERED, lambda _: _broke("the end of the answer was lost on its way")),
    Outcome.SHED: _shed,
    Outcome.EXPIRED: _expired,
    Outcome.FAILED: _failed,
    Outcome.DEAD_LETTERED: _failed,
    Outcome.SUPERSEDED: lambda _: superseded(),
    Outcome.CANCELLED: _cancelled,
}
