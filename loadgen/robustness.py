"""What is lost when what the house believes is wrong: lengths, kinds, the speed of its engines."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from random import Random
from statistics import fmean
from typing import Final

from loadgen.parallel import as_done
from loadgen.report.observation import Observation
from loadgen.report.tally import figures_of
from loadgen.simulator.playing import COMPANY, Scene, house_of
from loadgen.simulator.setting import House
from loadgen.simulator.simulation import Simulation
from loadgen.simulator.speed import Believed, Speed
from loadgen.simulator.world import tasks
from loadgen.workloads.arrival import Arrival
from shared.domain.task import Prediction, Task
from shared.scheduling.cost import Cost
from shared.scheduling.feeding import FEEDERS
from shared.scheduling.fitting import StepFit
from shared.scheduling.policies import POLICIES
from shared.scheduling.step_time import StepTime
from shared.tasks import TASKS

_LOW, _HIGH = 0.4, 2.5
_MISTAKEN: Final = 0.1
_SEED: Final = "robustness"

Ask = Callable[[Task, Random], Task]
# Error, load and policy; attainment and the mean over kinds.
_Cell = tuple[str, float, str]
_Shares = tuple[float, float]


def _as_it_is(task: Task, rng: Random) -> Task:
    return task


def _all_shorter(task: Task, rng: Random) -> Task:
    return _scaled(task, _LOW)


def _all_longer(task: Task, rng: Random) -> Task:
    return _scaled(task, _HIGH)


def _each_its_own(task: Task, rng: Random) -> Task:
    """As often too short as too long."""
    return _scaled(task, _LOW * (_HIGH / _LOW) ** rng.random())


def _one_kind_in_ten(task: Task, rng: Random) -> Task:
    """A wrong kind brings that kind's promise and lengths along."""
    if rng.random() >= _MISTAKEN:
        return task
    other = TASKS[rng.choice([kind for kind in _KINDS if kind != task.kind])]
    return replace(
        task,
        kind=other.name,
        latency_class=other.latency_class,
        promise=other.promise,
        useful_s=other.useful_s,
        prediction=replace(other.prior, prompt_tokens=task.prediction.prompt_tokens),
    )


_KINDS: Final = ("completion", "generation", "summarization", "translation")


def _scaled(task: Task, factor: float) -> Task:
    said = task.prediction
    prediction = Prediction(
        prompt_tokens=said.prompt_tokens,
        output_tokens_p50=max(1, round(said.output_tokens_p50 * factor)),
        output_tokens_p90=max(1, round(said.output_tokens_p90 * factor)),
    )
    return replace(task, prediction=prediction)


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """`ask` changes what the scheduler is told of a task; `base` is by how much it believes the
    fixed cost of a step to be off; `speed` is what workers make of that."""

    ask: Ask = _as_it_is
    base: float = 1.0
    speed: Callable[[StepTime], Speed] | None = None


def _learned(believed: StepTime) -> Speed:
    return StepFit(prior=believed)


NONE: Final = "nothing is wrong"
ERRORS: Final[Mapping[str, Error]] = {
    NONE: Error(),
    "all lengths × 0.4": Error(ask=_all_shorter),
    "all lengths × 2.5": Error(ask=_all_longer),
    "each length × 0.4–2.5": Error(ask=_each_its_own),
    "1 kind in 10": Error(ask=_one_kind_in_ten),
    "c0 × 0.5, for ever": Error(base=0.5, speed=Believed),
    "c0 × 2, for ever": Error(base=2.0, speed=Believed),
    "c0 × 0.5, then learned": Error(base=0.5, speed=_learned),
    "c0 × 2, then learned": Error(base=2.0, speed=_learned),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Attainment of one policy under one error, and points lost by it; means over the seeds."""

    error: str
    load: float
    policy: str
    attainment: float
    kind_mean: float
    points_lost: float


def losses(
    scenes: Sequence[Scene], policies: Sequence[str], *, processes: int
) -> Iterator[Loss | None]:
    """None for each play that is done, and at the end the losses."""
    plays = list(product(scenes, policies, ERRORS))
    kept: dict[_Cell, list[_Shares]] = {}
    for cell, shares in as_done(_play, plays, processes=processes):
        kept.setdefault(cell, []).append(shares)
        yield None
    for (error, load, policy), played in sorted(kept.items()):
        sound = fmean(each for each, _ in kept[NONE, load, policy])
        attainment = fmean(each for each, _ in played)
        yield Loss(
            error=error,
            load=load,
            policy=policy,
            attainment=attainment,
            kind_mean=fmean(mean for _, mean in played),
            points_lost=100 * (sound - attainment),
        )


def _play(wanted: tuple[Scene, str, str]) -> tuple[_Cell, _Shares]:
    scene, policy, name = wanted
    return (name, scene.load, policy), play_with_error(scene, policy, ERRORS[name])


def play_with_error(scene: Scene, policy: str, error: Error) -> _Shares:
    """Attainment and the mean over kinds, judged by what was truly asked and promised."""
    workload = scene.workload()
    promises = {arrival.at_s: task.promise for arrival, task in tasks(workload)}
    seen: list[Observation] = []

    def judge(observed: Observation) -> None:
        seen.append(replace(observed, promise=promises[observed.at_s]))

    simulation = Simulation(house=_house(scene, policy, error), judge=judge)
    simulation.run(_told(workload, error, scene.prefix_share))
    figures = figures_of(seen, duration_s=scene.duration_s)
    return figures.total.attainment or 0.0, figures.mean_over_kinds or 0.0


def _told(
    workload: Iterable[Arrival], error: Error, prefix_share: float
) -> Iterator[tuple[Arrival, Task]]:
    rng = Random(_SEED)
    told = tasks(workload, prefix_share=prefix_share)
    return ((arrival, error.ask(task, rng)) for arrival, task in told)


def _house(scene: Scene, policy: str, error: Error) -> House:
    time = scene.profile.step_time
    believed = replace(time, base_s=error.base * time.base_s)
    profile = replace(scene.profile, step_time=believed)
    speed = error.speed
    chosen = POLICIES[policy]()
    return replace(
        house_of(scene, chosen),
        feeder=FEEDERS[chosen.feeder](profile),
        cost=Cost(profile=profile, company=COMPANY),
        new_speed=None if speed is None else lambda: speed(believed),
    )
