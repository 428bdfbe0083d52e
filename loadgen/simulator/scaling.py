"""Rules that change the size of a simulated fleet, each of them at every second.

Attainment is bought with worker-seconds, loading and draining included, so that a rule is judged
by both.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final, Protocol

from loadgen.report.observation import Observation
from loadgen.report.tally import figures_of
from loadgen.simulator.capacity import capacity_per_s
from loadgen.simulator.setting import House
from loadgen.simulator.simulation import Simulation
from loadgen.simulator.worker import Stage, Worker
from loadgen.simulator.world import tasks
from loadgen.workloads.arrival import Arrival
from loadgen.workloads.days import DAYS, times, traced
from loadgen.workloads.mixes import Mix
from loadgen.workloads.workload import Crowd, build, replay
from shared.domain.task import Task
from shared.scheduling.backlog import Backlog
from shared.scheduling.cost import Cost
from shared.scheduling.feeding import FEEDERS
from shared.scheduling.policies import POLICIES
from shared.scheduling.scaling import Average, Demand, Steady, workers_needed
from shared.scheduling.step_time import EngineProfile

_BEAT_S: Final = 1.0
_COMPANY: Final = 16.0
# What the live scheduler learns of this engine at full batches: predicted GPU-seconds per second.
_PACE: Final = 1.46
_NOBODY: Final = Crowd(typing=None)
# As Kubernetes' horizontal autoscaler leaves well alone what is nearly right.
_TOLERANCE: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What a rule sees: `arrived_s` and `sent_s` are GPU-seconds of work that came and that workers
    were sent since the last look; `outstanding` are tasks that wait or run; `fleet` counts workers
    that serve or load, `serving` only the former."""

    now: float
    backlog: Backlog
    arrived_s: float
    sent_s: float
    outstanding: int
    fleet: int
    serving: int


class Rule(Protocol):
    def needed(self, sight: Sight) -> int:
        """How many workers it would have, loading ones included."""
        ...


@dataclass(slots=True)
class Fixed:
    """As many as at the start."""

    workers: float

    def needed(self, sight: Sight) -> int:
        return math.ceil(self.workers)


@dataclass(slots=True)
class Utilization:
    """So many that each is busy for the target share of its time: the horizontal autoscaler's rule.

    Busy is what the work it was sent takes at full batches: an engine that merely decodes one
    sequence would look as busy as a full one. Like every utilization it ends at 1.
    """

    target: float
    seen: Average = field(default_factory=lambda: Average(30.0))

    def needed(self, sight: Sight) -> int:
        self.seen.learn(min(1.0, sight.sent_s / max(1, sight.serving)), _BEAT_S)
        return _toward(self.seen.mean / self.target, sight)


@dataclass(slots=True)
class Queue:
    """So many that each has the target number of tasks, waiting ones and running ones."""

    each: float
    seen: Average = field(default_factory=lambda: Average(15.0))

    def needed(self, sight: Sight) -> int:
        self.seen.learn(sight.outstanding, _BEAT_S)
        return math.ceil(self.seen.mean / self.each)


@dataclass(slots=True)
class Promised:
    """So many that what waits and what will come keeps its promise."""

    caution: float
    start_s: float
    demand: Demand = field(init=False)

    def __post_init__(self) -> None:
        self.demand = Demand(self.start_s)

    def needed(self, sight: Sight) -> int:
        self.demand.note(sight.arrived_s, sight.now)
        return workers_needed(
            sight.backlog.promised(sight.now),
            coming=self.demand.ahead(self.caution),
            fleet=sight.fleet,
            start_s=self.start_s,
            pace=_PACE,
        )


def _toward(share: float, sight: Sight) -> int:
    if abs(share - 1) <= _TOLERANCE:
        return sight.fleet
    return math.ceil(sight.serving * share)


# A rule from its knob and the time a model loads.
RULES: Final[Mapping[str, Callable[[float, float], Rule]]] = {
    "fixed": lambda knob, _: Fixed(knob),
    "utilization": lambda knob, _: Utilization(knob),
    "queue": lambda knob, _: Queue(knob),
    "cato": Promised,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """One day, one fleet of `at_first` to `most` workers; `load_s` is how long a model loads. With
    a trace the day is a stretch of it."""

    mix: Mix
    profile: EngineProfile
    day: str
    trace: Path | None
    seconds: int
    seed: int
    load_s: float
    most: int
    policy: str
    at_first: int = 1

    def workload(self) -> list[Arrival]:
        rng = Random(f"{self.seed}/day")
        if self.trace is not None:
            return replay(self.mix, traced(self.trace, self.seconds, rng), self.seed, _NOBODY)
        rates = DAYS[self.day](self.seconds, rng)
        per_s = capacity_per_s(self.profile, self.mix)
        return build(self.mix, times(rates, per_s, rng), self.seed, _NOBODY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """`workers` is the mean paid for: GPU-hours per hour."""

    attainment: float
    workers: float


def play_scaled(
    shift: Shift, workload: Sequence[Arrival], *, rule: str, knob: float, hold_s: float
) -> Scaled:
    seen: list[Observation] = []
    simulation = Simulation(house=_house(shift, rule, knob), judge=seen.append)
    rides = list(tasks(workload))
    least = math.ceil(knob) if rule == "fixed" else 1
    scaler = Scaler(
        simulation=simulation,
        rule=RULES[rule](knob, shift.load_s),
        steady=Steady(least=least, most=shift.most, hold_s=hold_s),
        load_s=shift.load_s,
        arriving=((arrival.at_s, task) for arrival, task in rides),
    )
    simulation.at(_BEAT_S, scaler.look)
    simulation.run(rides)
    total = figures_of(seen, duration_s=shift.seconds).total
    paid_s = simulation.provisioned_s(shift.seconds)
    return Scaled(attainment=total.attainment or 0.0, workers=paid_s / shift.seconds)


def _house(shift: Shift, rule: str, knob: float) -> House:
    policy = POLICIES[shift.policy]()
    return House(
        policy=policy,
        feeder=FEEDERS[policy.feeder](shift.profile),
        profile=shift.profile,
        cost=Cost(profile=shift.profile, company=_COMPANY),
        workers=math.ceil(knob) if rule == "fixed" else shift.at_first,
        window_s=float(shift.seconds),
        slots=shift.profile.max_sequences,
    )


@dataclass(slots=True, kw_only=True)
class Scaler:
    """Looks once a second; the newest leaves first, whoever still loads before all others."""

    simulation: Simulation
    rule: Rule
    steady: Steady
    load_s: float
    arriving: Iterator[tuple[float, Task]]
    _coming: tuple[float, Task] | None = None
    _sent_s: float = 0.0

    def look(self, now: float) -> None:
        sight = self._sight(now)
        wanted = self.steady.wanted(self.rule.needed(sight), now)
        for _ in range(wanted - sight.fleet):
            self.simulation.join(now, load_s=self.load_s)
        for worker in self._leaving(sight.fleet - wanted):
            self.simulation.drain(worker, now)
        self.simulation.at(now + _BEAT_S, self.look)

    def _sight(self, now: float) -> Sight:
        dispatcher = self.simulation.dispatcher
        sent_s, self._sent_s = dispatcher.sent_s - self._sent_s, dispatcher.sent_s
        running = sum(len(seat.tasks) for seat in dispatcher.seats)
        return Sight(
            now=now,
            backlog=dispatcher.backlog,
            arrived_s=self._arrived_s(now),
            sent_s=sent_s,
            outstanding=len(dispatcher.backlog) + running,
            fleet=len(self._at(Stage.SERVING)) + len(self._at(Stage.LOADING)),
            serving=len(self._at(Stage.SERVING)),
        )

    def _arrived_s(self, now: float) -> float:
        cost, total = self.simulation.house.cost, 0.0
        coming = self._coming or next(self.arriving, None)
        while coming is not None and coming[0] <= now:
            total += cost.work_s(coming[1])
            coming = next(self.arriving, None)
        self._coming = coming
        return total

    def _leaving(self, count: int) -> list[Worker]:
        """One who serves always stays."""
        serving = self._at(Stage.SERVING)
        return [*reversed(self._at(Stage.LOADING)), *reversed(serving[1:])][: max(0, count)]

    def _at(self, stage: Stage) -> list[Worker]:
        return [worker for worker in self.simulation.workers if worker.stage is stage]
