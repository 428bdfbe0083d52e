"""What a scaling rule buys: promises kept, against the workers paid for.

Each rule has one knob that trades the two; only whole curves can be compared, at equal cost or at
equal promises.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from statistics import mean
from typing import Final

from loadgen.parallel import as_done
from loadgen.simulator.scaling import Shift, play_scaled
from loadgen.workloads.arrival import Arrival

FIXED: Final = "fixed"
# From the cheapest to the most generous; the ends reach beyond what a fleet is worth.
KNOBS: Final[Mapping[str, Sequence[float]]] = {
    FIXED: (1, 2, 3, 4),
    "utilization": (0.85, 0.65, 0.45),
    "queue": (35, 18, 9),
    "cato": (0.3, 1.2, 2.5),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleRow:
    """One rule with one knob on one day. `workers` is the mean paid for, GPU-hours per hour."""

    rule: str
    knob: float
    day: str
    load_s: float
    seed: int
    requests: int
    attainment: float
    workers: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    shift: Shift
    rule: str
    knob: float
    hold_s: float


def trials(shifts: Iterable[Shift], rules: Sequence[str], hold_s: float) -> list[Trial]:
    """A fixed fleet loads nothing, so that it is played once whatever a load takes."""
    stages = tuple(shifts)
    first_s = stages[0].load_s if stages else 0.0
    return [
        Trial(shift=shift, rule=rule, knob=knob, hold_s=hold_s)
        for shift in stages
        for rule in rules
        if rule != FIXED or shift.load_s == first_s
        for knob in KNOBS[rule]
    ]


def completed(rows: Iterable[ScaleRow], loads_s: Sequence[float]) -> list[ScaleRow]:
    """With the fixed fleets repeated beside the rules of every load."""
    return [
        replace(row, load_s=load_s)
        for row in rows
        for load_s in (loads_s if row.rule == FIXED else (row.load_s,))
    ]


def scale(wanted: Sequence[Trial], *, processes: int) -> Iterator[ScaleRow]:
    """As they are done."""
    return as_done(played, wanted, processes=processes)


def played(trial: Trial) -> ScaleRow:
    shift = trial.shift
    workload = _workload(shift)
    scaled = play_scaled(shift, workload, rule=trial.rule, knob=trial.knob, hold_s=trial.hold_s)
    return ScaleRow(
        rule=trial.rule,
        knob=trial.knob,
        day=shift.day,
        load_s=shift.load_s,
        seed=shift.seed,
        requests=len(workload),
        attainment=scaled.attainment,
        workers=scaled.workers,
    )


@lru_cache(maxsize=2)
def _workload(shift: Shift) -> list[Arrival]:
    return shift.workload()


@dataclass(frozen=True, slots=True)
class Frontier:
    """The best that a rule does for its cost, straight between its knobs: points with rising
    workers and rising attainment, as means over seeds."""

    points: tuple[tuple[float, float], ...]

    @classmethod
    def of(cls, rows: Sequence[ScaleRow]) -> "Frontier":
        found: list[tuple[float, float]] = []
        for knob in {row.knob for row in rows}:
            same = [row for row in rows if row.knob == knob]
            found.append((mean(r.workers for r in same), mean(r.attainment for r in same)))
        best: list[tuple[float, float]] = []
        for workers, attainment in sorted(found):
            if not best or attainment > best[-1][1]:
                best.append((workers, attainment))
        return cls(tuple(best))

    def attainment_at(self, workers: float) -> float | None:
        """None where the rule never costs so little; no more is bought beyond its last point."""
        if not self.points or workers < self.points[0][0]:
            return None
        for (cheap, low), (dear, high) in pairwise(self.points):
            if workers <= dear:
                return low + (high - low) * (workers - cheap) / (dear - cheap)
        return self.points[-1][1]

    def workers_for(self, attainment: float) -> float | None:
        """None where the rule keeps so many at no price that was tried."""
        if not self.points or attainment > self.points[-1][1]:
            return None
        for (cheap, low), (dear, high) in pairwise(self.points):
            if low <= attainment <= high:
                return cheap + (dear - cheap) * (attainment - low) / (high - low)
        return self.points[0][0]
