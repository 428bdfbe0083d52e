"""A trace context is the ids that tie what many processes recorded about one task together.

It travels as the `traceparent` of W3C: version, trace id, id of the parent span, flags. Whether a
trace is kept is decided once, where the task is received, and travels in the flags; the decision
hangs on the trace id alone, so that any two who have to make it agree.
"""

import os
import re
from typing import Final, NamedTuple, Self

_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
_SAMPLED: Final = 0x01


class TraceContext(NamedTuple):
    trace_id: str
    span_id: str
    is_sampled: bool

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.is_sampled else '00'}"

    @classmethod
    def parse(cls, traceparent: str | None) -> Self | None:
        """None where there is no context, or one that W3C tells us to ignore."""
        found = _TRACEPARENT.fullmatch(traceparent or "")
        if found is None or ((traceparent or "").startswith("00") and found[4] is not None):
            return None
        return cls(found[1], found[2], bool(int(found[3], 16) & _SAMPLED))


def new_trace_id() -> str:
    return os.urandom(16).hex()


def new_span_id() -> str:
    return os.urandom(8).hex()


def is_kept(trace_id: str, ratio: float) -> bool:
    """The rule of OpenTelemetry's TraceIdRatioBased: the low 64 bits, below the ratio."""
    return int(trace_id[16:], 16) < round(ratio * 2**64)
