"""An observation is what one client saw of one request, and whether its promise was kept."""

from dataclasses import dataclass
from enum import StrEnum

from shared.domain.task import LatencyClass, Promise


class Ending(StrEnum):
    """How it ended for the client; whether an answer came in time is another question."""

    ANSWERED = "answered"
    SHED = "shed"  # refused or given up under load (429, 503)
    EXPIRED = "expired"  # given up because the answer had become worthless (408)
    ERROR = "error"
    CANCELLED = "cancelled"  # the client hung up
    SUPERSEDED = "superseded"  # the next keystroke of the same editor replaced it


LEFT = (Ending.CANCELLED, Ending.SUPERSEDED)


# Not frozen, which would cost three times as much: one is made of each request.
@dataclass(slots=True, kw_only=True)
class Observation:
    """One logical request; durations count from the moment it was sent.

    `at_s` counts from the start of the workload. `pacing_late_s` is by how much the latest token
    missed the pace its promise sets, negative when all were early, None when nothing sets a pace.
    `wanted_s` is when its client leaves, `alone_s` what it takes on an idle engine. `error` is a
    short cause.
    """

    kind: str
    tenant: str
    at_s: float
    promise: Promise
    ending: Ending
    ttft_s: float | None = None
    e2e_s: float | None = None
    pacing_late_s: float | None = None
    output_tokens: int = 0
    wanted_s: float | None = None
    alone_s: float = 0.0
    queued_s: float | None = None
    worker: str | None = None
    predicted_kind: str | None = None
    retry_after_s: float | None = None
    is_synthetic: bool = False
    error: str | None = None

    def is_counted(self) -> bool:
        """Could anybody have kept the promise before the client left?"""
        return self.wanted_s is None or self.wanted_s >= self.alone_s

    def is_answered(self) -> bool:
        return self.ending is Ending.ANSWERED

    def is_kept(self) -> bool:
        """The whole promise: first token, every later token, last token.

        Whoever left while the tokens came in time has got what was promised until then.
        """
        if self.pacing_late_s is not None and self.pacing_late_s > 0:
            return False
        if self.ending in LEFT:
            return self._came_in_time_until_the_client_left()
        return self.is_answered() and self.meets(self.promise)

    def is_late(self) -> bool:
        return self.is_answered() and not self.is_kept()

    def meets(self, promise: Promise) -> bool:
        """Judged on first and last token."""
        if self.e2e_s is None:
            return False
        ttft_s = self.e2e_s if self.ttft_s is None else self.ttft_s
        return promise.is_kept(ttft_s=ttft_s, e2e_s=self.e2e_s, output_tokens=self.output_tokens)

    def _came_in_time_until_the_client_left(self) -> bool:
        promised_s = self.promise.ttft_s
        is_first = self.promise.latency_class() is LatencyClass.TTFT and self.promise.e2e_s is None
        if not is_first or promised_s is None or self.ttft_s is None:
            return False
        return self.ttft_s <= promised_s


def pacing_late_s(promise: Promise, token_times_s: list[float]) -> float | None:
    """How late the latest token was: token k is due k paces after the promised first one."""
    if promise.ttft_s is None or promise.tpot_s is None or not token_times_s:
        return None
    first_s, pace_s = promise.ttft_s, promise.tpot_s
    return max(at_s - (first_s + k * pace_s) for k, at_s in enumerate(token_times_s))
