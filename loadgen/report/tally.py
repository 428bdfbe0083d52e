"""A run is counted while it goes on: a few numbers of each request are kept, and no request."""

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Final

from loadgen.report.figures import TOTAL, Figures, KindFigures, Latencies, Moment
from loadgen.report.observation import Ending, Observation
from loadgen.report.statistics import Percentiles, distribution, jain, mean, ratio
from shared.domain.task import Promise

_BUCKETS: Final = 60


def figures_of(
    observations: Iterable[Observation], *, duration_s: float, limits: Promise | None = None
) -> Figures:
    """`duration_s` is the window in which requests were sent; `limits` is the reader's own SLO."""
    tally = Tally(duration_s=duration_s, limits=limits)
    for seen in observations:
        tally.note(seen)
    return tally.figures()


def _seconds() -> "array[float]":
    return array("d")


@dataclass(slots=True)
class _Latency:
    """`came`: of all counted requests that had it, `kept`: of those whose promise was kept, too;
    `answered`: of the answered ones, counted or not. `never` had none and broke their promise."""

    came: "array[float]" = field(default_factory=_seconds)
    kept: "array[float]" = field(default_factory=_seconds)
    answered: "array[float]" = field(default_factory=_seconds)
    never: int = 0

    def note(self, took_s: float | None, *, is_kept: bool) -> None:
        if took_s is not None:
            self.came.append(took_s)
            if is_kept:
                self.kept.append(took_s)
        # Whoever left with the promise kept so far has no last token that could be late.
        elif not is_kept:
            self.never += 1

    def extend(self, other: "_Latency") -> None:
        self.came.extend(other.came)
        self.kept.extend(other.kept)
        self.answered.extend(other.answered)
        self.never += other.never

    def figures(self) -> Latencies:
        judged = len(self.came) + self.never
        broken = judged - len(self.kept)
        return Latencies(
            kept=Percentiles.of(chain(self.kept, repeat(math.inf, broken))),
            answered=Percentiles.of(self.answered),
            curve=distribution(self.came, judged),
        )


@dataclass(slots=True)
class _Kind:
    """What is counted of one kind, or of all."""

    limits: Promise | None
    promises: set[Promise] = field(default_factory=set)
    endings: Counter[Ending] = field(default_factory=Counter)
    counted: int = 0
    on_time: int = 0
    late: int = 0
    within: int = 0
    output_tokens: int = 0
    ttft: _Latency = field(default_factory=_Latency)
    e2e: _Latency = field(default_factory=_Latency)

    def note(self, seen: Observation, *, is_counted: bool, is_kept: bool) -> None:
        self.promises.add(seen.promise)
        self.endings[seen.ending] += 1
        self.output_tokens += seen.output_tokens
        e2e_s = None
        if seen.ending is Ending.ANSWERED:
            e2e_s = seen.e2e_s
            self._note_answered(seen, is_kept=is_kept)
        if is_counted:
            self.counted += 1
            self.on_time += is_kept
            self.ttft.note(seen.ttft_s, is_kept=is_kept)
            self.e2e.note(e2e_s, is_kept=is_kept)

    def _note_answered(self, seen: Observation, *, is_kept: bool) -> None:
        self.late += not is_kept
        if seen.ttft_s is not None:
            self.ttft.answered.append(seen.ttft_s)
        if seen.e2e_s is not None:
            self.e2e.answered.append(seen.e2e_s)
        if self.limits is not None:
            self.within += seen.meets(self.limits)

    def extend(self, other: "_Kind") -> None:
        self.endings.update(other.endings)
        self.counted += other.counted
        self.on_time += other.on_time
        self.late += other.late
        self.within += other.within
        self.output_tokens += other.output_tokens
        self.ttft.extend(other.ttft)
        self.e2e.extend(other.e2e)

    def figures(self, name: str, duration_s: float) -> KindFigures:
        endings = self.endings
        return KindFigures(
            kind=name,
            promise=next(iter(self.promises)) if len(self.promises) == 1 else None,
            requests=endings.total(),
            counted=self.counted,
            on_time=self.on_time,
            attainment=ratio(self.on_time, self.counted),
            goodput_per_s=self.on_time / duration_s,
            within_limits_per_s=None if self.limits is None else self.within / duration_s,
            answered=endings[Ending.ANSWERED],
            late=self.late,
            shed=endings[Ending.SHED],
            expired=endings[Ending.EXPIRED],
            errors=endings[Ending.ERROR],
            cancelled=endings[Ending.CANCELLED],
            superseded=endings[Ending.SUPERSEDED],
            output_tokens=self.output_tokens,
            ttft_s=self.ttft.figures(),
            e2e_s=self.e2e.figures(),
        )


@dataclass(slots=True)
class _Share:
    """How many there were, how many of them counted, and how many of those were kept."""

    requests: int = 0
    counted: int = 0
    kept: int = 0

    def note(self, *, is_counted: bool, is_kept: bool) -> None:
        self.requests += 1
        if is_counted:
            self.counted += 1
            self.kept += is_kept

    def attainment(self) -> float | None:
        return ratio(self.kept, self.counted)


@dataclass(slots=True, kw_only=True)
class Tally:
    """The figures of all that was noted; some 60 bytes a request."""

    duration_s: float
    limits: Promise | None = None
    _kinds: dict[str, _Kind] = field(default_factory=dict)
    _tenants: defaultdict[str, _Share] = field(default_factory=lambda: defaultdict(_Share))
    _moments: defaultdict[int, _Share] = field(default_factory=lambda: defaultdict(_Share))
    _workers: Counter[str] = field(default_factory=Counter)
    _causes: Counter[str] = field(default_factory=Counter)
    _queued: "array[float]" = field(default_factory=_seconds)
    _labelled: int = 0
    _misclassified: int = 0
    _is_synthetic: bool = False

    def note(self, seen: Observation) -> None:
        is_counted, is_kept = seen.is_counted(), seen.is_kept()
        kind = self._kinds.get(seen.kind)
        if kind is None:
            kind = self._kinds[seen.kind] = _Kind(self.limits)
        kind.note(seen, is_counted=is_counted, is_kept=is_kept)
        self._tenants[seen.tenant].note(is_counted=is_counted, is_kept=is_kept)
        moment = self._moments[int(seen.at_s / self._moment_s())]
        moment.note(is_counted=is_counted, is_kept=is_kept)
        self._note_house(seen)

    def figures(self) -> Figures:
        total = _Kind(self.limits)
        for kind in self._kinds.values():
            total.extend(kind)
        kinds = [kind.figures(name, self.duration_s) for name, kind in sorted(self._kinds.items())]
        tenants = [tenant.attainment() for tenant in self._tenants.values()]
        return Figures(
            total=total.figures(TOTAL, self.duration_s),
            kinds=tuple(kinds),
            mean_over_kinds=mean([k.attainment for k in kinds if k.attainment is not None]),
            fairness=jain([each for each in tenants if each is not None]),
            tenants=len(tenants),
            misclassified=ratio(self._misclassified, self._labelled),
            queued_s=Percentiles.of(self._queued),
            workers=self._workers,
            causes=self._causes,
            is_synthetic=self._is_synthetic,
            moments=tuple(self._each_moment()),
        )

    def _note_house(self, seen: Observation) -> None:
        if seen.queued_s is not None:
            self._queued.append(seen.queued_s)
        if seen.worker is not None:
            self._workers[seen.worker] += 1
        if seen.error is not None:
            self._causes[seen.error] += 1
        if seen.predicted_kind is not None:
            self._labelled += 1
            self._misclassified += seen.predicted_kind != seen.kind
        self._is_synthetic |= seen.is_synthetic

    def _moment_s(self) -> float:
        return max(1.0, self.duration_s / _BUCKETS)

    def _each_moment(self) -> Iterator[Moment]:
        width_s = self._moment_s()
        for index in range(max(1, math.ceil(self.duration_s / width_s))):
            share, at_s = self._moments[index], index * width_s
            yield Moment(
                at_s=at_s,
                # The last stretch ends with the run.
                requests_per_s=share.requests / min(width_s, self.duration_s - at_s),
                attainment=share.attainment(),
            )
