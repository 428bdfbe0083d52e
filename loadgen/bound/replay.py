"""A schedule made in hindsight: who is never started, under which policy, and what that keeps."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loadgen.report.observation import Observation
from loadgen.simulator.playing import Scene, play_with
from loadgen.simulator.world import Guess
from loadgen.workloads.arrival import Arrival
from shared.scheduling.policy import Policy
from shared.scheduling.step_time import EngineProfile

_Shape = tuple[float, str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """`levels`: for each stretch of time, which of the prepared choices leaves requests out;
    `swapped`: places in the workload of those who are treated the other way round."""

    policy: Policy
    guess: Guess
    levels: tuple[int, ...]
    swapped: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Replay:
    """`kept`: the places in the workload of those whose promise was kept."""

    schedule: Schedule
    without: frozenset[int]
    kept: frozenset[int]

    @property
    def score(self) -> int:
        return len(self.kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """`choices[n]`: whom level n would leave out; level 0 leaves out nobody. `stretches`: the
    places of those who came in each stretch of time."""

    scene: Scene
    workload: Sequence[Arrival]
    choices: Sequence[frozenset[int]]
    stretches: Sequence[Sequence[int]]

    def replay(self, schedule: Schedule) -> Replay:
        without = frozenset(self._without(schedule))
        started = [place for place in range(len(self.workload)) if place not in without]
        arrivals = [self.workload[place] for place in started]
        played = play_with(self.scene, schedule.policy, arrivals, guess=schedule.guess)
        kept = kept_places(self.workload, started, played.observations, self.scene.profile)
        return Replay(schedule, without, kept)

    def _without(self, schedule: Schedule) -> Iterator[int]:
        """Whoever is never started is one whom the replay never sees."""
        for level, stretch in zip(schedule.levels, self.stretches, strict=True):
            left_out = self.choices[level]
            yield from (p for p in stretch if (p in left_out) != (p in schedule.swapped))


def kept_places(
    workload: Sequence[Arrival],
    started: Sequence[int],
    observations: Sequence[Observation],
    profile: EngineProfile,
) -> frozenset[int]:
    """Whose promise was kept; requests that nothing tells apart may stand for each other."""
    places: defaultdict[_Shape, list[int]] = defaultdict(list)
    for place in started:
        arrival = workload[place]
        alone_s = profile.alone_s(arrival.prompt_tokens, arrival.output_tokens)
        places[arrival.at_s, arrival.kind, alone_s].append(place)
    return frozenset(
        places[seen.at_s, seen.kind, seen.alone_s].pop()
        for seen in sorted(observations, key=Observation.is_kept, reverse=True)
        if seen.is_counted() and seen.is_kept()
    )
