"""Who could only be answered when nobody wants the answer any more is better told at once.

Pure: decided from the last backlog that the scheduler reported, which is at most 100 ms old. Whom
to serve among those who can be served is the policy's decision, never the door's.
"""

from dataclasses import dataclass
from typing import Final, Self

from shared.domain.errors import NoWorker, Overloaded
from shared.domain.outcome import DropReason
from shared.domain.task import LatencyClass, Promise
from shared.messages.body import Body
from shared.messages.pool import BacklogReported, ClassBacklog
from shared.tasks import TASKS
from shared.tasks.fim import has_fim_markers

# A leader is replaced within two seconds, a worker started within a few.
_NEW_LEADER_S: Final = 2.0
_NEW_WORKER_S: Final = 5.0
# The least that makes sense to wait when nothing better is known.
_BREATH_S: Final = 0.5
# The reported wait is that of a typical newcomer; a short one may overtake those before it.
_OVERTAKING: Final = 4.0
# A token every 20 ms, as a reader would like it.
_TOKEN_S: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What was reported of one model, and when it was heard."""

    report: BacklogReported
    heard_at: float

    def age_s(self, now: float) -> float:
        return now - self.heard_at

    def wait_s(self, latency_class: LatencyClass) -> float:
        return self.report.classes.get(latency_class, ClassBacklog()).wait_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A request as admission sees it; `patience_s` None is worth waiting for, however long."""

    kind: str
    latency_class: LatencyClass
    patience_s: float | None
    size_bytes: int

    @classmethod
    def of(
        cls,
        kind: str,
        *,
        promise: Promise | None,
        read_timeout_s: float | None,
        size_bytes: int,
    ) -> Self:
        """Nobody waits longer than an answer is useful, or than the connection is kept."""
        task = TASKS[kind]
        owed = task.promise.with_limits_of(promise)
        useful_s = task.useful_for_s(owed)
        limits_s = (None if useful_s is None else useful_s * _OVERTAKING, read_timeout_s)
        return cls(
            kind=kind,
            latency_class=owed.latency_class(),
            patience_s=min((limit for limit in limits_s if limit is not None), default=None),
            size_bytes=size_bytes,
        )


def likely_kind(body: Body, declared: str | None) -> str:
    """Before the classifier has read it: the more patient kind in doubt."""
    if declared is not None:
        return declared
    if body.suffix is not None or has_fim_markers(body.prompt or ""):
        return "completion"
    return "translation" if body.target_language is not None else "generation"


def decoding_s(kind: str) -> float:
    """From the first token to the last, as the catalogue expects it."""
    return _TOKEN_S * TASKS[kind].prior.output_tokens_p50


def admit(
    wish: Wish,
    backlog: Backlog | None,
    *,
    now: float,
    stale_s: float,
    open_bytes: int,
    room: int,
) -> None:
    """Raises NoWorker or Overloaded, with the time after which asking again makes sense."""
    if backlog is None or backlog.age_s(now) > stale_s:
        raise NoWorker(
            "no scheduler speaks for this model now",
            retry_after_s=_NEW_LEADER_S,
            dropped=DropReason.NO_ENDPOINTS,
        )
    if backlog.report.workers == 0:
        raise NoWorker(
            "no worker serves this model now",
            retry_after_s=_NEW_WORKER_S,
            dropped=DropReason.NO_ENDPOINTS,
        )
    wait_s = backlog.wait_s(wish.latency_class)
    if backlog.report.is_full or open_bytes + wish.size_bytes > room:
        raise _overloaded("the queue is full", retry_after_s=wait_s)
    if wish.patience_s is not None and wait_s > wish.patience_s:
        raise _overloaded(
            f"the predicted wait of {wait_s:.2f} s is longer than an answer would be of use",
            retry_after_s=wait_s - wish.patience_s,
        )


def _overloaded(why: str, *, retry_after_s: float) -> Overloaded:
    return Overloaded(
        f"{why}; try again later",
        retry_after_s=max(_BREATH_S, retry_after_s),
        dropped=DropReason.SATURATED,
    )
