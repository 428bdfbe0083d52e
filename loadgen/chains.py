"""Chains under one promise against the same chains under others, on the same arrivals."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain
from typing import Final

from loadgen.bound.upper_bound import upper_bound
from loadgen.parallel import as_done
from loadgen.report.figures import Figures
from loadgen.report.observation import Observation
from loadgen.report.tally import figures_of
from loadgen.simulator.capacity import completed_per_s
from loadgen.simulator.chaining import Chaining, Manner
from loadgen.simulator.playing import Scene, house_of
from loadgen.simulator.simulation import Simulation
from loadgen.simulator.world import tasks
from loadgen.workloads.arrival import Arrival
from loadgen.workloads.chains import DOCUMENTATION, ChainArrival, chained
from loadgen.workloads.mixes import TRANSLATION, Mix
from loadgen.workloads.workload import Crowd, build
from shared.scheduling.chains import fixed, resplit
from shared.scheduling.policies import POLICIES
from shared.scheduling.step_time import EngineProfile

OURS: Final = "one promise, given up when missed"
MANNERS: Final[Mapping[str, Manner]] = {
    OURS: Manner(policy="cato", split=resplit, is_one=True, is_strict=True),
    "one promise, late when missed": Manner(policy="cato", split=resplit, is_one=True),
    "a promise for each step": Manner(policy="cato", split=fixed, is_one=False),
    "first come, first served": Manner(policy="round_robin", split=fixed, is_one=False),
}
CHAINED: Final = frozenset({TRANSLATION, DOCUMENTATION})

_REQUESTS: Final = 6_000

Workload = tuple[Sequence[Arrival], Sequence[ChainArrival]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRow:
    """One manner in one scene. A chain is on time when its last answer is; `by_kind` and
    `attainment` count it once. `upper_bound` is an attainment, None where it was not asked for."""

    manner: str
    load: float
    seed: int
    workers: int
    chains: int
    chains_on_time: int
    attainment: float
    kind_mean: float
    by_kind: Mapping[str, float]
    upper_bound: float | None


def compare_chains(
    stage: Sequence[Scene], *, processes: int, bounded: bool
) -> Iterator[list[ChainRow]]:
    """The rows of each scene, as they are done; `bounded` needs the extra `load`."""
    return as_done(partial(rows_of, bounded=bounded), stage, processes=processes)


def rows_of(scene: Scene, *, bounded: bool = False) -> list[ChainRow]:
    workload = workload_of(scene)
    most = None
    if bounded:
        singles, chains = workload
        most = upper_bound(singles, scene.profile, scene.workers, chains).attainment
    return [
        _row(scene, name, play_chains(scene, manner, workload), most)
        for name, manner in MANNERS.items()
    ]


def workload_of(scene: Scene) -> Workload:
    """The scene's load is of a capacity in which a chain is one request."""
    rate = scene.load * scene.workers * capacity_per_s(scene.profile, scene.mix)
    arrivals = build(scene.mix, scene.times(rate), scene.seed, Crowd(typing=None))
    return chained(arrivals, scene.seed)


def play_chains(scene: Scene, manner: Manner, workload: Workload) -> Figures:
    singles, chains = workload
    seen: list[Observation] = []
    house = house_of(scene, POLICIES[manner.policy]())
    simulation = Simulation(house=house, judge=seen.append)
    Chaining(simulation=simulation, manner=manner, judge=seen.append).expect(chains)
    simulation.run(tasks(singles))
    return figures_of(seen, duration_s=scene.duration_s)


@cache
def capacity_per_s(profile: EngineProfile, mix: Mix) -> float:
    """First come, first served, on one worker that always has the next step of every chain."""
    arrivals = build(mix, map(float, range(_REQUESTS)), 0, Crowd(typing=None))
    singles, chains = chained(arrivals, 0)
    steps = (call for each in chains for stage in each.stages() for call in each.calls(stage))
    calls = sorted(chain(singles, steps), key=lambda call: call.at_s)
    sizes = ((call.prompt_tokens, call.output_tokens) for call in calls)
    return completed_per_s(profile, sizes) * len(arrivals) / len(calls)


def _row(scene: Scene, manner: str, figures: Figures, most: float | None) -> ChainRow:
    chains = [kind for kind in figures.kinds if kind.kind in CHAINED]
    return ChainRow(
        manner=manner,
        load=scene.load,
        seed=scene.seed,
        workers=scene.workers,
        chains=sum(kind.counted for kind in chains),
        chains_on_time=sum(kind.on_time for kind in chains),
        attainment=figures.total.attainment or 0.0,
        kind_mean=figures.mean_over_kinds or 0.0,
        by_kind={kind.kind: kind.attainment or 0.0 for kind in figures.kinds},
        upper_bound=most,
    )
