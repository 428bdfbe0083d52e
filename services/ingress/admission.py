"""Who cannot be served in time is better told at once than kept waiting.

Pure: decided from the last backlog that the scheduler reported, which is at most 100 ms old, and
from what was let in since.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Self

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
# What is left of a promise is for everything that is not waiting.
_WAIT_SHARE: Final = 0.5
# One report may show an odd task; three in a row are a habit.
_SMOOTHING: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What was reported of one model, and when it was heard.

    `task_s` is by how much one more task of a class prolongs the wait; it is remembered from the
    last time when such tasks waited.
    """

    report: BacklogReported
    heard_at: float
    task_s: Mapping[LatencyClass, float] = field(default_factory=dict)

    def followed_by(self, report: BacklogReported, heard_at: float) -> Self:
        task_s = dict(self.task_s)
        for each, seen_s in _task_s(report).items():
            before_s = task_s.get(each, seen_s)
            task_s[each] = before_s + _SMOOTHING * (seen_s - before_s)
        return type(self)(report=report, heard_at=heard_at, task_s=task_s)

    def age_s(self, now: float) -> float:
        return now - self.heard_at

    def wait_s(self, wish: "Wish", let_in: Mapping[LatencyClass, int]) -> float:
        """The reported wait, and that for what was let in since and will be served before."""
        reported_s = self.report.classes.get(wish.latency_class, ClassBacklog()).wait_s
        last = _SERVED.index(wish.latency_class)
        ahead = _SERVED[: last + 1]
        return reported_s + sum(let_in.get(each, 0) * self.task_s.get(each, 0.0) for each in ahead)


_SERVED: Final = (LatencyClass.TTFT, LatencyClass.E2E, LatencyClass.BATCH)


def _task_s(report: BacklogReported) -> dict[LatencyClass, float]:
    work_s = sum(waiting.work_s for waiting in report.classes.values())
    longest_s = max((waiting.wait_s for waiting in report.classes.values()), default=0.0)
    if work_s <= 0.0:
        return {}
    # Whoever is served last waits for all the work: this is the speed of the whole pool.
    speed = longest_s / work_s
    return {
        each: waiting.work_s / waiting.queued * speed
        for each, waiting in report.classes.items()
        if waiting.queued
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A request as admission sees it; `patience_s` None is worth waiting for, however long.

    `promised_s` is until the token that decides; None where it is not what the kind usually has.
    """

    kind: str
    latency_class: LatencyClass
    promised_s: float | None = None
    patience_s: float | None
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Who was let in here before and is not done: since the report, and of the same shape.

    `most` of them can be served in time together, as far as is known; each needs `duration_s`.
    """

    since: Mapping[LatencyClass, int] = field(default_factory=dict)
    alike: int = 0
    most: float = math.inf
    duration_s: float = 0.0


class Shape(NamedTuple):
    """Requests of one shape mostly turn out to be alike: one client sends them."""

    model: str
    kind: str | None
    route: str
    is_fill: bool
    has_target: bool
    size: int


def shape_of(body: Body, *, model: str, kind: str | None) -> Shape:
    is_fill = body.suffix is not None or has_fim_markers(body.prompt or "")
    return Shape(
        model=model,
        kind=kind,
        route=body.route,
        is_fill=is_fill,
        has_target=body.target_language is not None,
        size=body.max_tokens.bit_length(),
    )


def first_guess(shape: Shape) -> str:
    """The kind of requests of which none has ended yet; the more patient one in doubt."""
    if shape.kind is not None:
        return shape.kind
    if shape.is_fill:
        return "completion"
    return "translation" if shape.has_target else "generation"


def wish_of(
    kind: str,
    *,
    promise: Promise | None,
    read_timeout_s: float | None,
    is_detached: bool,
    size_bytes: int,
) -> Wish:
    """Who listens waits as long as the promise allows, who comes back while an answer is useful."""
    task = TASKS[kind]
    owed = task.promise.with_limits_of(promise)
    promised_s = owed.ttft_s if owed.ttft_s is not None else owed.e2e_s
    waits_s = task.useful_for_s(owed) if is_detached else _part(promised_s, _WAIT_SHARE)
    limits_s = (waits_s, read_timeout_s)
    return Wish(
        kind=kind,
        latency_class=owed.latency_class(),
        promised_s=promised_s if promise is None and not is_detached else None,
        patience_s=min((limit for limit in limits_s if limit is not None), default=None),
        size_bytes=size_bytes,
    )


def admit(
    wish: Wish,
    backlog: Backlog | None,
    *,
    crowd: Crowd,
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
    wait_s = backlog.wait_s(wish, crowd.since)
    if backlog.report.is_full or open_bytes + wish.size_bytes > room:
        raise _overloaded("the queue is full", retry_after_s=wait_s)
    if wish.patience_s is not None and wait_s > wish.patience_s:
        raise _overloaded(
            f"the predicted wait of {wait_s:.2f} s is too long for the promise of this request",
            retry_after_s=wait_s - wish.patience_s,
        )
    if wish.patience_s is not None and crowd.alike >= crowd.most:
        raise _overloaded(
            f"{crowd.alike} requests like this one are open, and one more would be late",
            retry_after_s=crowd.duration_s,
        )


def _overloaded(why: str, *, retry_after_s: float) -> Overloaded:
    return Overloaded(
        f"{why}; try again later",
        retry_after_s=max(_BREATH_S, retry_after_s),
        dropped=DropReason.SATURATED,
    )


def _part(limit_s: float | None, share: float) -> float | None:
    return None if limit_s is None else limit_s * share
