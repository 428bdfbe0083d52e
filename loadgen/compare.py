"""Policies are compared on the same arrivals, seed by seed: only paired differences are small."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import product
from multiprocessing import get_context
from typing import Final

from loadgen.report.figures import Figures, KindFigures
from loadgen.simulator.playing import Scene, is_infeasible, play

SLO: Final = 0.95


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
    """One policy in one scene. `infeasible` could not have been kept on an idle worker either;
    `capacity` is what the fleet completes per second when it never runs out of prompts."""

    policy: str
    workers: int
    load: float
    arrivals: str
    seed: int
    requests: int
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
    capacity: float

    @property
    def feasible_attainment(self) -> float:
        """Of those who could have been kept by anybody."""
        return min(1.0, self.attainment * self.requests / max(1, self.requests - self.infeasible))


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
    stage: Sequence[Scene], policies: Sequence[str], *, processes: int
) -> Iterator[list[Compared]]:
    """One list for each scene, as they are done."""
    if processes == 1:
        yield from (compare_in(scene, policies) for scene in stage)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        running = [pool.submit(compare_in, scene, policies) for scene in stage]
        try:
            for done in as_completed(running):
                yield done.result()
        finally:
            for each in running:
                each.cancel()


def compare_in(scene: Scene, policies: Sequence[str]) -> list[Compared]:
    workload = scene.workload()
    infeasible = sum(is_infeasible(arrival, scene.profile) for arrival in workload)
    compared: list[Compared] = []
    for policy in policies:
        played = play(scene, policy, workload)
        row = _row(scene, policy, played.figures, played.useful_share, infeasible)
        compared.append(Compared(row=row, figures=played.figures))
    return compared


def _row(scene: Scene, policy: str, figures: Figures, useful: float, infeasible: int) -> Row:
    total = figures.total
    return Row(
        policy=policy,
        workers=scene.workers,
        load=scene.load,
        arrivals=scene.arrivals,
        seed=scene.seed,
        requests=total.requests,
        attainment=total.attainment or 0.0,
        kind_mean=figures.mean_over_kinds or 0.0,
        goodput=total.goodput_per_s,
        by_kind={kind.kind: KindRow.of(kind) for kind in figures.kinds},
        completion_rate=total.answered / max(1, total.requests),
        shed=total.shed + total.expired,
        late=total.late,
        cancelled=total.cancelled + total.superseded,
        infeasible=infeasible,
        useful_utilization=useful,
        capacity=scene.capacity_per_s,
    )
