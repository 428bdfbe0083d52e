"""How many requests a second of CPU the simulator plays, and in how much memory."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from loadgen.bench import consumption
from loadgen.bench.sheet import Cell, Sheet, rounded
from loadgen.simulator.playing import GAMMA, Scene, play_through
from loadgen.workloads.arrival import Arrival
from loadgen.workloads.mixes import REFERENCE
from shared.adapters.profiles import load_profile
from shared.scheduling.policies import POLICIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """Every policy on `workers` for so many simulated seconds; then `cato` on a large fleet, where
    a million requests come in 81 s."""

    policies: tuple[str, ...] = tuple(POLICIES)
    workers: int = 100
    duration_s: float = 20.0
    large_workers: int = 1_000
    large_duration_s: float = 81.0

    @classmethod
    def quick(cls) -> "Effort":
        return cls(policies=("cato",), large_duration_s=4.0)


async def simulator(effort: Effort) -> list[Sheet]:
    scene = _scene(effort.workers, effort.duration_s)
    workload = scene.workload()
    large = _scene(effort.large_workers, effort.large_duration_s)
    return [
        Sheet(
            title="The reference mix at 1.0× of capacity, gamma arrivals of CV 2, on one core",
            rows=[_played(scene, policy, workload) for policy in effort.policies],
            notes=("cpu: playing, and counting what was kept; the arrivals were made before.",),
        ),
        Sheet(
            title="The same on a large fleet, with arrivals made as they come",
            rows=[_played(large, "cato", large.stream())],
            notes=("peak: of this process so far, the interpreter included.",),
        ),
    ]


def _scene(workers: int, duration_s: float) -> Scene:
    return Scene(
        mix=REFERENCE,
        profile=load_profile("reference"),
        arrivals=GAMMA,
        load=1.0,
        workers=workers,
        duration_s=duration_s,
        seed=1,
    )


def _played(scene: Scene, policy: str, workload: Iterable[Arrival]) -> Mapping[str, Cell]:
    began_s = consumption.cpu_s()
    total = play_through(scene, POLICIES[policy](), workload).figures.total
    cpu_s = consumption.cpu_s() - began_s
    return {
        "policy": policy,
        "workers": scene.workers,
        "requests": total.requests,
        "attained": rounded(total.attainment),
        "cpu_s": rounded(cpu_s),
        "requests_per_cpu_s": round(total.requests / cpu_s),
        "peak_mib": round(consumption.peak_mib()),
    }
