"""Who cannot be served in time is better told at once than kept waiting.

Pure: decided from the last backlog that the scheduler reported, which is at most 100 ms old.
"""

from dataclasses import dataclass
from typing import Final

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What was reported of one model, and when it was heard."""

    report: BacklogReported
    heard_at: float

    def age_s(self, now: float) -> float:
        return now - self.heard_at

    def wait_s(self, wish: "Wish") -> float:
        return self.report.classes.get(wish.latency_class, ClassBacklog()).wait_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A request as admission sees it; `useful_s` None is worth waiting for, however long."""

    kind: str
    latency_class: LatencyClass
    useful_s: float | None
    size_bytes: int


def wish_of(
    body: Body,
    *,
    kind: str | None,
    promise: Promise | None,
    read_timeout_s: float | None,
    size_bytes: int,
) -> Wish:
    """Where the kind is not named the more patient one is assumed: the scheduler judges again."""
    kind = kind or _likely_kind(body)
    task = TASKS[kind]
    owed = task.promise if promise is None else _merged(promise, task.promise)
    limits_s = (task.useful_for_s(owed), read_timeout_s)
    return Wish(
        kind=kind,
        latency_class=owed.latency_class(),
        useful_s=min((limit for limit in limits_s if limit is not None), default=None),
        size_bytes=size_bytes,
    )


def admit(
    wish: Wish, backlog: Backlog | None, *, now: float, stale_s: float, open_bytes: int, room: int
) -> None:
    """Raises NoWorker or Overloaded, with the time after which asking again makes sense."""
    if backlog is None or backlog.age_s(now) > stale_s:
        raise NoWorker(
            "no scheduler speaks for this model now",
            retry_after_s=_NEW_LEADER_S,
            dropped=DropReason.NO_ENDPOINTS,
        )
    report = backlog.report
    if report.workers == 0:
        raise NoWorker(
            "no worker serves this model now",
            retry_after_s=_NEW_WORKER_S,
            dropped=DropReason.NO_ENDPOINTS,
        )
    wait_s = backlog.wait_s(wish)
    if report.is_full or open_bytes + wish.size_bytes > room:
        raise _overloaded("the queue is full", retry_after_s=wait_s)
    if wish.useful_s is not None and wait_s > wish.useful_s:
        raise _overloaded(
            f"the predicted wait of {wait_s:.1f} s is longer than an answer is of use",
            retry_after_s=wait_s - wish.useful_s,
        )


def _overloaded(why: str, *, retry_after_s: float) -> Overloaded:
    return Overloaded(
        f"{why}; try again later",
        retry_after_s=max(_BREATH_S, retry_after_s),
        dropped=DropReason.SATURATED,
    )


def _merged(own: Promise, usual: Promise) -> Promise:
    """As the classifier will see it: the client's limits on top of the usual ones."""
    return Promise(
        ttft_s=usual.ttft_s if own.ttft_s is None else own.ttft_s,
        e2e_s=usual.e2e_s if own.e2e_s is None else own.e2e_s,
    )


def _likely_kind(body: Body) -> str:
    if body.suffix is not None or has_fim_markers(body.prompt or ""):
        return "completion"
    return "translation" if body.target_language else "generation"
