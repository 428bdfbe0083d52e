"""An answer is written down while it comes: when each piece arrived, and how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from loadgen.drivers.asking import Request
from loadgen.drivers.event_stream import DONE, read_piece, tokens_until
from loadgen.report.observation import Ending, Observation, pacing_late_s

_ENDINGS_BY_STATUS: Final[Mapping[int, Ending]] = {429: Ending.SHED, 408: Ending.EXPIRED}
_ENDINGS_BY_CODE: Final[Mapping[str, Ending]] = {
    "overloaded": Ending.SHED,
    "rate_limit_exceeded": Ending.SHED,
    "deadline_exceeded": Ending.EXPIRED,
    "shed": Ending.SHED,
    "expired": Ending.EXPIRED,
    "superseded": Ending.SUPERSEDED,
    "cancelled": Ending.CANCELLED,
}


@dataclass(slots=True, kw_only=True)
class Answer:
    """Times are seconds after sending."""

    request: Request
    times_s: list[float] = field(default_factory=list)
    chars: list[int] = field(default_factory=list)
    ending: Ending | None = None
    ended_s: float | None = None
    error: str | None = None
    _headers: Mapping[str, str] = field(default_factory=dict)
    _completion_tokens: int | None = None
    _is_synthetic: bool = False
    _is_whole: bool = False

    def begin(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def hear(self, data: bytes, after_s: float) -> None:
        if data == DONE:
            self._is_whole = True
            return
        piece = read_piece(data)
        self._is_whole = self._is_whole or piece.is_last
        if piece.chars:
            self.times_s.append(after_s)
            self.chars.append(piece.chars)
        if piece.completion_tokens is not None:
            self._completion_tokens = piece.completion_tokens
        self._is_synthetic = self._is_synthetic or piece.is_synthetic
        if piece.failure is not None:
            self.fail(piece.failure)

    def refuse(self, status: int, code: str) -> None:
        ending = _ENDINGS_BY_CODE.get(code, _ENDINGS_BY_STATUS.get(status, Ending.ERROR))
        self._end(ending, None if ending is not Ending.ERROR else f"{status} {code}")

    def fail(self, code: str) -> None:
        """The house, or the network, gave it up on the way."""
        ending = _ENDINGS_BY_CODE.get(code, Ending.ERROR)
        self._end(ending, None if ending is not Ending.ERROR else code)

    def hang_up(self) -> None:
        self._end(Ending.CANCELLED, None)

    def complete(self, after_s: float) -> None:
        """The stream is over: that is the whole answer only if it said so itself."""
        self.ended_s = after_s
        if not self._is_whole:
            self.fail("cut off")
        if not self.times_s:
            self.fail("empty answer")
        self._end(Ending.ANSWERED, None)

    def observation(self, at_s: float) -> Observation:
        request, tokens = self.request, self._completion_tokens or len(self.times_s)
        last_s = self.times_s[-1] if self.times_s else self.ended_s
        return Observation(
            kind=request.kind,
            tenant=request.tenant,
            at_s=at_s,
            promise=request.promise,
            ending=self.ending or Ending.ERROR,
            ttft_s=self.times_s[0] if self.times_s else None,
            e2e_s=last_s if self.ending is Ending.ANSWERED else None,
            pacing_late_s=pacing_late_s(request.promise, self._token_times_s(tokens)),
            output_tokens=tokens,
            wanted_s=request.wanted_s,
            alone_s=request.alone_s,
            queued_s=_number(self._headers.get("x-cato-queue-ms"), per_s=1000),
            retry_after_s=_number(self._headers.get("retry-after"), per_s=1),
            worker=self._headers.get("x-cato-worker"),
            predicted_kind=self._predicted_kind(),
            is_synthetic=self._is_synthetic or "x-cato-synthetic" in self._headers,
            error=self.error,
        )

    def _token_times_s(self, tokens: int) -> list[float]:
        """Per token, the first of a piece being the one due soonest."""
        times_s: list[float] = []
        for at_s, until in zip(self.times_s, tokens_until(self.chars, tokens), strict=True):
            times_s += [at_s] * (until - len(times_s))
        return times_s

    def _predicted_kind(self) -> str | None:
        """Only where the house had to find out for itself."""
        if "x-cato-task" in self.request.headers or self.request.is_detached:
            return None
        return self._headers.get("x-cato-task")

    def _end(self, ending: Ending, error: str | None) -> None:
        if self.ending is None:
            self.ending, self.error = ending, error


def _number(header: str | None, *, per_s: float) -> float | None:
    try:
        return None if header is None else float(header) / per_s
    except ValueError:
        return None
