"""Server-sent events, as completion servers write them: one JSON object per `data:` line."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

# One event longer than this is no answer of a model.
_LONGEST_LINE_BYTES: Final = 4 * 1024 * 1024


class MalformedStream(Exception):
    """These bytes are no event stream."""


@dataclass(slots=True)
class EventLines:
    """Puts chunks together again; yields the value of each complete `data:` line."""

    _rest: bytearray = field(default_factory=bytearray)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Raises MalformedStream when a line never ends."""
        self._rest += chunk
        *lines, rest = bytes(self._rest).split(b"\n")
        if len(rest) > _LONGEST_LINE_BYTES:
            raise MalformedStream(f"a line of more than {_LONGEST_LINE_BYTES} bytes")
        self._rest = bytearray(rest)
        for line in lines:
            # Comments keep the connection alive; ids and names of events say nothing here.
            if line.startswith(b"data:"):
                yield line[5:].strip()
            elif line.startswith(b"error:"):
                # No field of the standard, but of older llama.cpp servers.
                yield b'{"error":%s}' % line[6:].strip()
