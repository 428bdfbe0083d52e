"""One workload played once in virtual time, and what was kept."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from typing import Final

from loadgen.report.figures import Figures
from loadgen.report.observation import Observation
from loadgen.report.tally import Tally, figures_of
from loadgen.simulator.capacity import capacity_per_s, trace_capacity_per_s
from loadgen.simulator.setting import Change, House
from loadgen.simulator.simulation import Judge, Simulation
from loadgen.simulator.worker import Stage
from loadgen.simulator.world import Guess, by_kind, tasks, usual
from loadgen.workloads.arrival import Arrival
from loadgen.workloads.arrivals import Arrivals, azure, gamma, on_off, poisson
from loadgen.workloads.mixes import Mix
from loadgen.workloads.sessions import Typing
from loadgen.workloads.trace import read_trace
from loadgen.workloads.workload import Crowd, build, replay, stream
from shared.scheduling.cost import Cost
from shared.scheduling.feeding import FEEDERS
from shared.scheduling.policies import POLICIES
from shared.scheduling.policy import Policy
from shared.scheduling.step_time import EngineProfile
from shared.tasks import TASKS

# How many sequences share a step on a busy worker.
COMPANY: Final = 16.0
TRACE: Final = "trace"
BATCH: Final = "batch"
GAMMA: Final = "gamma"
TIMES: Final[Mapping[str, Arrivals]] = {
    "poisson": poisson,
    GAMMA: partial(gamma, cv=2.0),
    "onoff": on_off,
    "azure": azure,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What arrives and who serves it; the same scene is played for every policy.

    `load` is a share of the capacity of the fleet as it is at the start; of its `changes` the
    workers that join first load their model for `load_s`. `is_typing`: editors type on, and cancel.
    `prefix_share` of an editor's prompt is what its next one begins with; 0: nothing is cached.
    """

    mix: Mix
    profile: EngineProfile
    arrivals: str
    load: float
    workers: int
    duration_s: float
    seed: int
    is_typing: bool = False
    cv: float = 2.0
    trace: Path | None = None
    hop_s: float = 0.003
    report_s: float = 0.1
    retries: int = 0
    backoff_s: float = 0.5
    prefix_share: float = 0.0
    changes: tuple[Change, ...] = ()
    load_s: float = 30.0

    @property
    def capacity_per_s(self) -> float:
        if self.trace is not None:
            return self.workers * trace_capacity_per_s(self.profile, self.trace)
        return self.workers * capacity_per_s(self.profile, self.mix)

    def workload(self) -> list[Arrival]:
        crowd = Crowd(typing=Typing() if self.is_typing else None)
        rate = self.load * self.capacity_per_s
        if self.trace is not None:
            return self._replayed(self.trace, rate, crowd)
        return build(self.mix, self.times(rate), self.seed, crowd)

    def stream(self) -> Iterator[Arrival]:
        """The workload, one at a time where nobody types and nothing is replayed."""
        if self.is_typing or self.trace is not None:
            return iter(self.workload())
        return stream(self.mix, self.times(self.load * self.capacity_per_s), self.seed)

    def times(self, rate: float) -> Iterator[float]:
        """When requests come, so many a second on average."""
        rng = Random(f"{self.seed}/arrivals")
        if self.arrivals == GAMMA:
            return gamma(rate, self.duration_s, rng, cv=self.cv)
        return TIMES[self.arrivals](rate, self.duration_s, rng)

    def _replayed(self, trace: Path, rate: float, crowd: Crowd) -> list[Arrival]:
        """The whole trace, so fast that it comes at this rate; cut at the scene's end."""
        rows = read_trace(trace)
        scale = rate * max(1e-9, rows[-1].at_s) / len(rows)
        played = (replace(row, at_s=row.at_s / scale) for row in rows)
        return replay(self.mix, (r for r in played if r.at_s < self.duration_s), self.seed, crowd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """`useful_share`: engine time of promises that were kept, of all that was paid for;
    `wasted_share`: of those whose client left before the promise was kept."""

    figures: Figures
    useful_share: float
    wasted_share: float
    observations: Sequence[Observation]


def play(scene: Scene, policy: str, workload: Sequence[Arrival]) -> Played:
    return play_with(scene, POLICIES[policy](), workload)


def play_with(
    scene: Scene, policy: Policy, workload: Iterable[Arrival], *, guess: Guess | None = None
) -> Played:
    """Without a `guess` the house knows what is usual in its scene."""
    guess = guess or guess_in(scene)
    seen: list[Observation] = []
    useful, wasted = _play(scene, policy, workload, guess, seen.append)
    figures = figures_of(seen, duration_s=scene.duration_s)
    return Played(figures=figures, useful_share=useful, wasted_share=wasted, observations=seen)


def guess_in(scene: Scene) -> Guess:
    """A trace brings lengths of its own."""
    return by_kind if scene.trace is None else usual(scene.workload())


def play_through(scene: Scene, policy: Policy, workload: Iterable[Arrival]) -> Played:
    """As `play_with`, and keeps no observation: as many requests as there are hours to wait."""
    tally = Tally(duration_s=scene.duration_s)
    useful, wasted = _play(scene, policy, workload, guess_in(scene), tally.note)
    figures = tally.figures()
    return Played(figures=figures, useful_share=useful, wasted_share=wasted, observations=())


def _play(
    scene: Scene, policy: Policy, workload: Iterable[Arrival], guess: Guess, judge: Judge
) -> tuple[float, float]:
    """The useful share and the wasted one."""
    simulation = Simulation(house=house_of(scene, policy), judge=judge)
    for change in scene.changes:
        simulation.at(change.at_s, partial(_resize, simulation, change.workers, scene.load_s))
    simulation.run(tasks(workload, guess=guess, prefix_share=scene.prefix_share))
    provisioned_s = simulation.provisioned_s(scene.duration_s)
    return simulation.useful_s / provisioned_s, simulation.wasted_s / provisioned_s


def house_of(scene: Scene, policy: Policy) -> House:
    return House(
        policy=policy,
        feeder=FEEDERS[policy.feeder](scene.profile),
        profile=scene.profile,
        cost=Cost(profile=scene.profile, company=COMPANY),
        workers=scene.workers,
        window_s=scene.duration_s,
        slots=scene.profile.max_sequences,
        hop_s=scene.hop_s,
        report_s=scene.report_s,
        retries=scene.retries,
        backoff_s=scene.backoff_s,
        prefix_share=scene.prefix_share,
    )


def _resize(simulation: Simulation, workers: int, load_s: float, now: float) -> None:
    """Who came last leaves first, so that those who serve outlast those who load."""
    for _ in range(workers):
        simulation.join(now, load_s=load_s)
    staying = (each for each in reversed(simulation.workers) if each.stage is not Stage.LEAVING)
    for worker in list(islice(staying, max(0, -workers))):
        simulation.drain(worker, now)


def is_infeasible(arrival: Arrival, profile: EngineProfile) -> bool:
    """Could its promise not even be kept alone on an idle worker?"""
    promise = (TASKS[BATCH] if arrival.batch else TASKS[arrival.kind]).promise
    first_s = profile.first_token_s(arrival.prompt_tokens)
    whole_s = profile.alone_s(arrival.prompt_tokens, arrival.output_tokens)
    return not promise.is_kept(ttft_s=first_s, e2e_s=whole_s, output_tokens=arrival.output_tokens)
