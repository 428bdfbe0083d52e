"""Server-sent events, byte by byte."""

from typing import Final

DONE: Final = b"data: [DONE]\n\n"
KEEP_ALIVE: Final = b": keep-alive\n\n"
HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)


def event(content: bytes) -> bytes:
    """`content` is one line of JSON."""
    return b"data: " + content + b"\n\n"


def event_with_id(event_id: str, content: str) -> bytes:
    return f"id: {event_id}\ndata: {content}\n\n".encode()
