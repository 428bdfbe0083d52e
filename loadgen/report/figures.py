"""The figures of one run, by kind and in total, computed from what its clients saw."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from loadgen.report.observation import Ending, Observation
from loadgen.report.statistics import Percentiles, distribution, jain, mean, ratio
from shared.domain.task import Promise

TOTAL: Final = "all"
_BUCKETS: Final = 60

Curve = tuple[tuple[float, float], ...]
Latency = Callable[[Observation], float | None]
_Key = TypeVar("_Key", str, int)


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """`kept`: over all counted requests, infinite for those whose promise was not kept.

    `answered`: over the answered ones only, whatever was promised; flattered by every drop.
    `curve`: (seconds, share of the counted requests that had it by then).
    """

    kept: Percentiles
    answered: Percentiles
    curve: Curve


@dataclass(frozen=True, slots=True, kw_only=True)
class KindFigures:
    """`counted` leaves out who left before anybody could have finished; `attainment` is `on_time`
    of these. `late` were answered after their promise. `within_limits_per_s` counts against the
    limits the reader asked for, where there are any."""

    kind: str
    promise: Promise | None
    requests: int
    counted: int
    on_time: int
    attainment: float | None
    goodput_per_s: float
    within_limits_per_s: float | None
    answered: int
    late: int
    shed: int
    expired: int
    errors: int
    cancelled: int
    superseded: int
    output_tokens: int
    ttft_s: Latencies
    e2e_s: Latencies


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What was asked in one stretch of the run, and how much of it was kept."""

    at_s: float
    requests_per_s: float
    attainment: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """`fairness` is Jain's index over the tenants' attainments; `misclassified` is a share of the
    requests whose kind the house had to find out; `causes` counts errors by their cause."""

    total: KindFigures
    kinds: tuple[KindFigures, ...]
    mean_over_kinds: float | None
    fairness: float | None
    tenants: int
    misclassified: float | None
    queued_s: Percentiles
    workers: Mapping[str, int]
    causes: Mapping[str, int]
    is_synthetic: bool
    moments: tuple[Moment, ...]


def figures_of(
    observations: Sequence[Observation], *, duration_s: float, limits: Promise | None = None
) -> Figures:
    """`duration_s` is the window in which requests were sent; `limits` is the reader's own SLO."""
    by_kind = _by(observations, lambda seen: seen.kind)
    kinds = tuple(
        _kind(name, _one_promise(seen), seen, duration_s, limits)
        for name, seen in sorted(by_kind.items())
    )
    attained = [kind.attainment for kind in kinds if kind.attainment is not None]
    tenants = _by(observations, lambda seen: seen.tenant)
    return Figures(
        total=_kind(TOTAL, None, observations, duration_s, limits),
        kinds=kinds,
        mean_over_kinds=mean(attained),
        fairness=jain(list(_attainments(tenants))),
        tenants=len(tenants),
        misclassified=_misclassified(observations),
        queued_s=Percentiles.of(o.queued_s for o in observations if o.queued_s is not None),
        workers=Counter(o.worker for o in observations if o.worker is not None),
        causes=Counter(o.error for o in observations if o.error is not None),
        is_synthetic=any(o.is_synthetic for o in observations),
        moments=tuple(_moments(observations, duration_s)),
    )


def _kind(
    name: str,
    promise: Promise | None,
    seen: Sequence[Observation],
    duration_s: float,
    limits: Promise | None,
) -> KindFigures:
    counted = [each for each in seen if each.is_counted()]
    on_time = sum(each.is_kept() for each in counted)
    endings = Counter(each.ending for each in seen)
    return KindFigures(
        kind=name,
        promise=promise,
        requests=len(seen),
        counted=len(counted),
        on_time=on_time,
        attainment=ratio(on_time, len(counted)),
        goodput_per_s=on_time / duration_s,
        within_limits_per_s=_within(seen, limits, duration_s),
        answered=endings[Ending.ANSWERED],
        late=sum(each.is_late() for each in seen),
        shed=endings[Ending.SHED],
        expired=endings[Ending.EXPIRED],
        errors=endings[Ending.ERROR],
        cancelled=endings[Ending.CANCELLED],
        superseded=endings[Ending.SUPERSEDED],
        output_tokens=sum(each.output_tokens for each in seen),
        ttft_s=_latencies(seen, counted, lambda each: each.ttft_s),
        e2e_s=_latencies(seen, counted, lambda each: each.e2e_s if each.is_answered() else None),
    )


def _latencies(
    seen: Sequence[Observation], counted: Sequence[Observation], latency: Latency
) -> Latencies:
    # Whoever left with the promise kept so far has no last token that could be late.
    judged = [each for each in counted if latency(each) is not None or not each.is_kept()]
    kept = [latency(each) if each.is_kept() else None for each in judged]
    answered = [latency(each) for each in seen if each.is_answered()]
    came = [s for each in judged if (s := latency(each)) is not None]
    return Latencies(
        kept=Percentiles.of(math.inf if s is None else s for s in kept),
        answered=Percentiles.of(s for s in answered if s is not None),
        curve=distribution(came, len(judged)),
    )


def _within(seen: Sequence[Observation], limits: Promise | None, duration_s: float) -> float | None:
    if limits is None:
        return None
    return sum(each.is_answered() and each.meets(limits) for each in seen) / duration_s


def _one_promise(seen: Sequence[Observation]) -> Promise | None:
    """The promise of a kind, where all its requests had the same."""
    promises = {each.promise for each in seen}
    return promises.pop() if len(promises) == 1 else None


def _attainments(groups: Mapping[str, Sequence[Observation]]) -> Iterator[float]:
    for seen in groups.values():
        if counted := [each for each in seen if each.is_counted()]:
            yield sum(each.is_kept() for each in counted) / len(counted)


def _misclassified(observations: Sequence[Observation]) -> float | None:
    judged = [each for each in observations if each.predicted_kind is not None]
    return ratio(sum(each.predicted_kind != each.kind for each in judged), len(judged))


def _moments(observations: Sequence[Observation], duration_s: float) -> Iterator[Moment]:
    width_s = max(1.0, duration_s / _BUCKETS)
    buckets = _by(observations, lambda seen: int(seen.at_s / width_s))
    for index in range(max(1, math.ceil(duration_s / width_s))):
        seen = buckets.get(index, [])
        counted = [each for each in seen if each.is_counted()]
        yield Moment(
            at_s=index * width_s,
            requests_per_s=len(seen) / width_s,
            attainment=ratio(sum(each.is_kept() for each in counted), len(counted)),
        )


def _by(
    observations: Sequence[Observation], key: Callable[[Observation], _Key]
) -> dict[_Key, list[Observation]]:
    groups: defaultdict[_Key, list[Observation]] = defaultdict(list)
    for each in observations:
        groups[key(each)].append(each)
    return groups
