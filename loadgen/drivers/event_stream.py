"""Server-sent events, read from whatever pieces the network makes of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydantic_core import from_json

DONE: Final = b"[DONE]"
_DATA: Final = b"data:"
# In the place of a fingerprint, or as a field of a task's event: no model made this text.
_MADE_UP: Final = "synthetic"
# The last event of a task, and the outcomes that come with an answer.
_ENDED: Final = "ended"
_ANSWERED: Final = ("completed", "late")


@dataclass(slots=True)
class EventStream:
    """Feed it bytes, get the data of each event that is complete."""

    _rest: bytes = field(default=b"")

    def feed(self, piece: bytes) -> Iterator[bytes]:
        *whole, self._rest = (self._rest + piece).replace(b"\r\n", b"\n").split(b"\n\n")
        for event in whole:
            # One line of data is what everybody sends; comments and names have none.
            at = 0 if event.startswith(_DATA) else event.find(b"\n" + _DATA) + 1
            if event.startswith(_DATA, at):
                yield event[at + len(_DATA) :].partition(b"\n")[0].strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What one event says: some text, the usage at the end, or why it went wrong.

    `is_last`: nothing follows it.
    """

    chars: int
    completion_tokens: int | None = None
    failure: str | None = None
    is_synthetic: bool = False
    is_last: bool = False


def read_piece(data: bytes) -> Piece:
    """Of any of the three routes; what is not understood is a piece without text."""
    try:
        event = from_json(data)
    except ValueError:
        return Piece(chars=0, failure="unreadable event")
    if not isinstance(event, dict):
        return Piece(chars=0)
    if event.get("error"):
        return Piece(chars=0, failure=failure_code(event))
    if event.get("type") == _ENDED and event.get("outcome") not in _ANSWERED:
        return Piece(chars=0, failure=str(event.get("outcome")))
    usage = event.get("usage")
    return Piece(
        chars=_chars(event),
        completion_tokens=_count(usage),
        is_synthetic=_is_made_up(event),
        is_last=event.get("type") == _ENDED,
    )


def failure_code(body: object) -> str:
    """The code of an OpenAI-shaped error, or whatever comes closest to one."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return "unexplained error"
    return str(error.get("code") or error.get("type") or error.get("message") or "error")


def tokens_until(chars: Sequence[int], completion_tokens: int) -> list[int]:
    """How many tokens were there after each piece, when pieces may hold several each."""
    if completion_tokens <= len(chars):
        return list(range(1, len(chars) + 1))
    total, seen = sum(chars), 0
    counts: list[int] = []
    for each in chars:
        seen += each
        counts.append(max(1, round(seen / total * completion_tokens)))
    return counts


def _chars(event: Mapping[str, object]) -> int:
    choices = event.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        return len(_text(choices[0]))
    return len(_text(event))


def _text(choice: Mapping[str, object]) -> str:
    delta = choice.get("delta")
    content = delta.get("content") if isinstance(delta, dict) else choice.get("text", delta)
    return content if isinstance(content, str) else ""


def _is_made_up(event: Mapping[str, object]) -> bool:
    return event.get("system_fingerprint") == _MADE_UP or event.get(_MADE_UP) is True


def _count(usage: object) -> int | None:
    tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
    return tokens if isinstance(tokens, int) else None
