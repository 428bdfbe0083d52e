"""Policies are compared on the same arrivals, seed by seed: only paired differences are small."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

from loadgen.bound.hindsight import hindsight
from loadgen.bound.promised import is_counted
from loadgen.bound.upper_bound import upper_bound
from loadgen.parallel import as_done
from loadgen.report.figures import Figures, KindFigures
from loadgen.simulator.playing import Played, Scene, is_infeasible, play
from loadgen.workloads.arrival import Arrival


@dataclass(frozen=True, slots=True, kw_only=True)
class KindRow:
    """Percentiles are over all counted requests; None where shed and late ones reach that far."""

    attainment: float | None
    ttft_p50: float | None
    ttft_p95: float | None
    e2e_p50: float | None
    e2e_p95: float | None

    @classmethod
    def of(cls, figures: KindFigures) -> "KindRow":
        return cls(
            attainment=figures.attainment,
            ttft_p50=figures.ttft_s.kept.p50,
            ttft_p95=figures.ttft_s.kept.p95,
            e2e_p50=figures.e2e_s.kept.p50,
            e2e_p95=figures.e2e_s.kept.p95,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One policy in one scene. `attainment` is over the `counted`: all but those whose client left
    before anybody could have finished; `infeasible` ones of these need more than an idle worker;
    `capacity` is what the fleet completes per second when it never runs out of prompts.

    `hindsight` and `upper_bound` are attainments, the same for all policies of a scene, None where
    they were not asked for; `fairness` is Jain's index over the tenants' attainments.
    """

    policy: str
    workers: int
    load: float
    arrivals: str
    seed: int
    requests: int
    counted: int
    attainment: float
    kind_mean: float
    goodput: float
    by_kind: Mapping[str, KindRow]
    completion_rate: float
    shed: int
    late: int
    cancelled: int
    infeasible: int
    useful_utilization: float
    wasted_utilization: float
    hindsight: float | None
    upper_bound: float | None
    capacity: float
    fairness: float | None

    @property
    def feasible_attainment(self) -> float:
        """Of those who could have been kept by anybody."""
        feasible = max(1, self.counted - self.infeasible)
        return min(1.0, self.attainment * self.counted / feasible)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What nobody could have kept more than, and what somebody who knew the future did keep."""

    hindsight: float | None = None
    upper_bound: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """`figures` hold the curves that a row leaves out."""

    row: Row
    figures: Figures


def scenes(
    like: Callable[[str, float, int, int], Scene],
    *,
    arrivals: Iterable[str],
    loads: Iterable[float],
    workers: Iterable[int],
    seeds: Iterable[int],
) -> list[Scene]:
    """The heaviest first, so that the last ones to end are short."""
    grid = product(arrivals, sorted(loads, reverse=True), sorted(workers, reverse=True), seeds)
    return [like(*place) for place in grid]


def compare(
    stage: Sequence[Scene], policies: Sequence[str], *, processes: int, steps: int | None
) -> Iterator[list[Compared]]:
    """One list for each scene, as they are done. `steps` of hindsight; None leaves limits out."""
    play_all = partial(compare_in, policies=policies, steps=steps)
    return as_done(play_all, stage, processes=processes)


def compare_in(
    scene: Scene, policies: Sequence[str], *, steps: int | None = None
) -> list[Compared]:
    workload = scene.workload()
    counted = [arrival for arrival in workload if is_counted(arrival, scene.profile)]
    infeasible = sum(is_infeasible(arrival, scene.profile) for arrival in counted)
    played = {policy: play(scene, policy, workload) for policy in policies}
    limits = Limits() if steps is None else _limits(scene, workload, played, steps)
    return [
        Compared(row=_row(scene, policy, run, infeasible, limits), figures=run.figures)
        for policy, run in played.items()
    ]


def _limits(
    scene: Scene, workload: Sequence[Arrival], played: Mapping[str, Played], steps: int
) -> Limits:
    # Whoever joins on the way might as well have been there from the start: that is no less.
    most = scene.workers + sum(max(0, change.workers) for change in scene.changes)
    return Limits(
        hindsight=hindsight(scene, workload, played, steps=steps),
        upper_bound=upper_bound(workload, scene.profile, most).attainment,
    )


def _row(scene: Scene, policy: str, played: Played, infeasible: int, limits: Limits) -> Row:
    figures = played.figures
    total = figures.total
    return Row(
        policy=policy,
        workers=scene.workers,
        load=scene.load,
        arrivals=scene.arrivals,
        seed=scene.seed,
        requests=total.requests,
        counted=total.counted,
        attainment=total.attainment or 0.0,
        kind_mean=figures.mean_over_kinds or 0.0,
        goodput=total.goodput_per_s,
        by_kind={kind.kind: KindRow.of(kind) for kind in figures.kinds},
        completion_rate=total.answered / max(1, total.requests),
        shed=total.shed + total.expired,
        late=total.late,
        cancelled=total.cancelled + total.superseded,
        infeasible=infeasible,
        useful_utilization=played.useful_share,
        wasted_utilization=played.wasted_share,
        hindsight=limits.hindsight,
        upper_bound=limits.upper_bound,
        capacity=scene.capacity_per_s,
        fairness=figures.fairness,
    )
