"""Is the simulator honest? The same requests once through the real house and once in virtual time.

The engine is the simulated one in both, so that what differs is the house: HTTP, Kafka, Redis,
clocks, and two cores that everybody shares.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Final

from rich.console import Console

from loadgen.bench.children import Build, house
from loadgen.bench.hops import Hop, median_rows, read_hops
from loadgen.bench.processes import neighbours
from loadgen.bench.sheet import Cell, Sheet, rounded
from loadgen.drivers.asking import Manner
from loadgen.drivers.client import Client
from loadgen.drivers.open_loop import play
from loadgen.drivers.progress import Tally
from loadgen.report.observation import Observation
from loadgen.report.statistics import nearest_rank
from loadgen.report.tally import figures_of
from loadgen.simulator.playing import GAMMA, Scene, play_with
from loadgen.simulator.world import as_asked
from loadgen.workloads.corpus import Corpus
from loadgen.workloads.mixes import REFERENCE
from shared.adapters.clock import SystemClock
from shared.adapters.profiles import load_profile
from shared.scheduling.policies import POLICIES

_PROFILE: Final = "reference"
_WORKERS: Final = 2
_WARM_UP_SEED: Final = 100
_NOTES: Final = (
    "attainment in points of a hundred, P95 in seconds over the answered; means over the seeds",
    "agreement is: at most 3 points apart in attainment, at most 15 % at P95",
)
_HOPS: Final = "dispatch: from the scheduler's decision until the worker has the task"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    policies: Sequence[str] = ("cato", "hybrid", "least_loaded")
    loads: Sequence[float] = (0.9, 1.25)
    seeds: Sequence[int] = (1, 2, 3, 4, 5)
    duration_s: float = 40.0
    warm_up_s: float = 20.0

    @classmethod
    def quick(cls) -> "Effort":
        return cls(seeds=(1, 2), duration_s=25.0, warm_up_s=15.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One scene as it was seen live, between two epoch seconds, and in virtual time."""

    scene: Scene
    live: Sequence[Observation]
    simulated: Sequence[Observation]
    began_at: float
    ended_at: float

    def sentence(self) -> str:
        live, simulated = (_attainment(each, self.scene) for each in (self.live, self.simulated))
        return (
            f"{self.scene.load:g}x, seed {self.scene.seed}: "
            f"{live:.1%} live, {simulated:.1%} simulated"
        )


async def agreement(directory: Path, effort: Effort, *, kafka: str) -> list[Sheet]:
    """Spans are read once the house is down: only then the last of them are written."""
    busy, console = neighbours(), Console(stderr=True)
    rows: list[Mapping[str, Cell]] = []
    hop_rows: list[Mapping[str, Cell]] = []
    for policy in effort.policies:
        built = Build(kafka=kafka, profile=_PROFILE, workers=_WORKERS, policy=policy)
        async with (
            house(directory / policy, built) as home,
            Client.open(home.base_url) as client,
        ):
            seen = []
            async for each in _seen(policy, client, effort):
                console.print(f"{policy}, {each.sentence()}", highlight=False)
                seen.append(each)
        hops = read_hops(home.trace_dir)
        for load in effort.loads:
            of_load = [each for each in seen if each.scene.load == load]
            rows.append(_row(policy, load, of_load))
            hop_rows.append(_hop_row(policy, load, of_load, hops))
    return [
        Sheet(title="The same requests, live and simulated", rows=rows, notes=(*_NOTES, busy)),
        Sheet(title="Median of each hop live, ms", rows=hop_rows, notes=(_HOPS,)),
    ]


async def _seen(policy: str, client: Client, effort: Effort) -> AsyncIterator[Seen]:
    (model, *_) = await client.models()
    manner = Manner(model=model, alone=load_profile(_PROFILE), declares_kind=True)
    clock = SystemClock()
    warming = _scene(effort.loads[0], _WARM_UP_SEED, effort.warm_up_s)
    await _played(client, manner, warming)
    for scene in _scenes(effort):
        simulated = play_with(scene, POLICIES[policy](), scene.workload(), guess=as_asked)
        began_at = clock.now()
        live = await _played(client, manner, scene)
        yield Seen(
            scene=scene,
            live=live,
            simulated=simulated.observations,
            began_at=began_at,
            ended_at=clock.now(),
        )


def _scenes(effort: Effort) -> Iterator[Scene]:
    for load in effort.loads:
        for seed in effort.seeds:
            yield _scene(load, seed, effort.duration_s)


def _scene(load: float, seed: int, duration_s: float) -> Scene:
    return Scene(
        mix=REFERENCE,
        profile=load_profile(_PROFILE),
        arrivals=GAMMA,
        load=load,
        workers=_WORKERS,
        duration_s=duration_s,
        seed=seed,
    )


async def _played(client: Client, manner: Manner, scene: Scene) -> Sequence[Observation]:
    corpus = Corpus.of_standard_library()
    requests = [manner.ask(arrival, corpus.render(arrival)) for arrival in scene.workload()]
    return (await play(client, requests, Tally(total=len(requests)))).observations


def _row(policy: str, load: float, seen: Sequence[Seen]) -> Mapping[str, Cell]:
    live = [_attainment(each.live, each.scene) for each in seen]
    simulated = [_attainment(each.simulated, each.scene) for each in seen]
    row: dict[str, Cell] = {
        "policy": policy,
        "load": load,
        "live": rounded(100 * fmean(live), 1),
        "simulated": rounded(100 * fmean(simulated), 1),
        "apart": rounded(100 * (fmean(live) - fmean(simulated)), 1),
    }
    for what in ("ttft_s", "e2e_s"):
        pair = [fmean(_p95(getattr(s, side), what) for s in seen) for side in ("live", "simulated")]
        name = what.removesuffix("_s")
        row[f"{name}_p95_live_s"], row[f"{name}_p95_simulated_s"] = map(rounded, pair)
        row[f"{name}_ratio"] = rounded(pair[0] / pair[1]) if pair[1] else None
    return row


def _hop_row(
    policy: str, load: float, seen: Sequence[Seen], hops: Sequence[Hop]
) -> Mapping[str, Cell]:
    """Scenes of one load are played one after another."""
    medians = median_rows(hops, {"ms": (seen[0].began_at, seen[-1].ended_at)})
    return {"policy": policy, "load": load, **{str(row["hop"]): row["ms"] for row in medians}}


def _attainment(seen: Sequence[Observation], scene: Scene) -> float:
    return figures_of(seen, duration_s=scene.duration_s).total.attainment or 0.0


def _p95(seen: Sequence[Observation], what: str) -> float:
    came = sorted(getattr(each, what) for each in seen if each.is_answered())
    return nearest_rank(came, 0.95) if came else 0.0
