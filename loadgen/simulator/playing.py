"""One workload played once in virtual time, and what was kept."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

from loadgen.report.figures import Figures
from loadgen.report.observation import Observation
from loadgen.report.tally import figures_of
from loadgen.simulator.capacity import capacity_per_s
from loadgen.simulator.setting import House
from loadgen.simulator.simulation import Simulation
from loadgen.simulator.world import Guess, by_kind, tasks
from loadgen.workloads.arrival import Arrival
from loadgen.workloads.arrivals import Arrivals, azure, gamma, on_off, poisson
from loadgen.workloads.mixes import Mix
from loadgen.workloads.sessions import Typing
from loadgen.workloads.trace import read_trace
from loadgen.workloads.workload import Crowd, build, replay
from shared.scheduling.cost import Cost
from shared.scheduling.feeding import FEEDERS
from shared.scheduling.policies import POLICIES
from shared.scheduling.policy import Policy
from shared.scheduling.step_time import EngineProfile
from shared.tasks import TASKS

# How many sequences share a step on a busy worker.
_COMPANY: Final = 16.0
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

    `load` is a share of the fleet's capacity. `is_typing`: editors type on, and cancel.
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

    @property
    def capacity_per_s(self) -> float:
        return self.workers * capacity_per_s(self.profile, self.mix)

    def workload(self) -> list[Arrival]:
        crowd = Crowd(typing=Typing() if self.is_typing else None)
        rate = self.load * self.capacity_per_s
        if self.trace is not None:
            return self._replayed(self.trace, rate, crowd)
        return build(self.mix, self._times(rate), self.seed, crowd)

    def _times(self, rate: float) -> Iterator[float]:
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
    """`useful_share`: engine time of promises that were kept, of all the fleet had."""

    figures: Figures
    useful_share: float
    observations: Sequence[Observation]


def play(scene: Scene, policy: str, workload: Sequence[Arrival]) -> Played:
    return play_with(scene, POLICIES[policy](), workload)


def play_with(
    scene: Scene, policy: Policy, workload: Sequence[Arrival], *, guess: Guess = by_kind
) -> Played:
    seen: list[Observation] = []
    house = House(
        policy=policy,
        feeder=FEEDERS[policy.feeder](scene.profile),
        profile=scene.profile,
        cost=Cost(profile=scene.profile, company=_COMPANY),
        workers=scene.workers,
        window_s=scene.duration_s,
        slots=scene.profile.max_sequences,
        hop_s=scene.hop_s,
    )
    simulation = Simulation(house=house, judge=seen.append)
    simulation.run(tasks(workload, guess=guess))
    return Played(
        figures=figures_of(seen, duration_s=scene.duration_s),
        useful_share=simulation.useful_s / (scene.workers * scene.duration_s),
        observations=seen,
    )


def is_infeasible(arrival: Arrival, profile: EngineProfile) -> bool:
    """Could its promise not even be kept alone on an idle worker?"""
    promise = (TASKS[BATCH] if arrival.batch else TASKS[arrival.kind]).promise
    first_s = profile.first_token_s(arrival.prompt_tokens)
    whole_s = profile.alone_s(arrival.prompt_tokens, arrival.output_tokens)
    return not promise.is_kept(ttft_s=first_s, e2e_s=whole_s, output_tokens=arrival.output_tokens)
