"""How many requests a second of CPU the simulator plays, and in how much memory."""

from collections.abc import Mapping
from dataclasses import dataclass

from loadgen.bench import consumption
from loadgen.bench.sheet import Cell, Sheet, rounded
from loadgen.simulator.playing import GAMMA, Scene, play_through
from loadgen.workloads.mixes import REFERENCE
from shared.adapters.profiles import load_profile
from shared.scheduling.policies import POLICIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """(policy, workers, simulated seconds); the fleets grow, since a peak of memory never falls."""

    runs: tuple[tuple[str, int, float], ...] = (
        *((policy, 100, 20.0) for policy in POLICIES),
        ("cato", 1_000, 81.0),
    )

    @classmethod
    def quick(cls) -> "Effort":
        return cls(runs=(("cato", 100, 20.0),))


async def simulator(effort: Effort) -> list[Sheet]:
    return [
        Sheet(
            title="The reference mix at 1.0× of capacity, gamma arrivals of CV 2, on one core",
            rows=[_played(*run) for run in effort.runs],
            notes=(
                "cpu: making the arrivals, playing them and counting what was kept.",
                "peak: of this process so far, the interpreter included.",
            ),
        )
    ]


def _played(policy: str, workers: int, duration_s: float) -> Mapping[str, Cell]:
    scene = Scene(
        mix=REFERENCE,
        profile=load_profile("reference"),
        arrivals=GAMMA,
        load=1.0,
        workers=workers,
        duration_s=duration_s,
        seed=1,
    )
    workload = scene.stream()
    began_s = consumption.cpu_s()
    total = play_through(scene, POLICIES[policy](), workload).figures.total
    cpu_s = consumption.cpu_s() - began_s
    return {
        "policy": policy,
        "workers": workers,
        "requests": total.requests,
        "attained": rounded(total.attainment),
        "cpu_s": rounded(cpu_s),
        "requests_per_cpu_s": round(total.requests / cpu_s),
        "peak_mib": round(consumption.peak_mib()),
    }
