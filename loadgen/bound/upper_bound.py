"""How many promises could anybody have kept who knew the whole trace? Not more than this.

A linear program over slots of time: x[i, s] seconds of promised work of request i in slot s,
between its arrival and its deadline and no faster than alone; Σ_i x[i, s] at most what the
workers have in that slot; Σ_s x[i, s] = y_i · work_i; max Σ y_i, 0 ≤ y_i ≤ 1. Whatever a schedule
keeps is such an x with y_i = 1 (`promised` says why), so that no policy can be above.

A long window would be hundreds of slots. Instead work is laid into the few nodes of a binary tree
that make up its window, and may lie anywhere below them. The nodes nest, so that by Hall's theorem
there is room for all of it in the slots exactly when, for every node, what was laid into it and
below it fits into its time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

from loadgen.bound.promised import Part, is_counted, parts
from loadgen.bound.slots import Slots
from loadgen.extra import extra
from loadgen.workloads.arrival import Arrival
from shared.scheduling.step_time import EngineProfile


@dataclass(frozen=True, slots=True, kw_only=True)
class UpperBound:
    """`kept`: by place in the workload, how much of each promise the program keeps. `attainment`
    is their sum over the requests that count, as attainment counts them."""

    attainment: float
    kept: Sequence[float]


def upper_bound(workload: Sequence[Arrival], profile: EngineProfile, workers: float) -> UpperBound:
    """Needs the extra `load`; raises ExtraMissing. `workers` may be a part of one."""
    counted = {place for place, each in enumerate(workload) if is_counted(each, profile)}
    work = {place: parts(workload[place], profile) for place in counted}
    feasible = {place: of for place, of in work.items() if all(part.fits() for part in of)}
    kept = [float(place in feasible) for place in range(len(workload))]
    for place, share in _solved({p: of for p, of in feasible.items() if of}, workers).items():
        kept[place] = share
    return UpperBound(attainment=min(1.0, sum(kept) / max(1, len(counted))), kept=kept)


@dataclass(slots=True)
class _Program:
    """Columns are unknowns between 0 and `most`; each row is Σ of its entries, and equals 0."""

    most: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    factors: list[float] = field(default_factory=list)

    def unknown(self, most: float) -> int:
        self.most.append(most)
        return len(self.most) - 1

    def add(self, row: int, column: int, factor: float) -> None:
        self.rows.append(row)
        self.columns.append(column)
        self.factors.append(factor)

    def maximized(self, first: int, rows: int) -> Sequence[float]:
        """The values of the first so many unknowns that make their sum greatest."""
        optimize, sparse = extra("scipy.optimize"), extra("scipy.sparse")
        width = len(self.most)
        matrix = sparse.coo_array((self.factors, (self.rows, self.columns)), shape=(rows, width))
        gain = [-1.0] * first + [0.0] * (width - first)
        bounds = [(0.0, most) for most in self.most]
        solved = optimize.linprog(
            gain, A_eq=matrix.tocsr(), b_eq=[0.0] * rows, bounds=bounds, method="highs-ds"
        )
        return [float(value) for value in solved.x[:first]]


def _solved(work: dict[int, tuple[Part, ...]], workers: float) -> dict[int, float]:
    if not work:
        return {}
    slots = Slots.between((part.from_at, part.until_at) for part in chain(*work.values()))
    program = _Program()
    kept = {place: program.unknown(1.0) for place in work}
    _lay_out(program, slots, workers)
    row = len(slots.lengths_s)
    for place, of in work.items():
        for part in of:
            program.add(row, kept[place], -part.work_s)
            for node in slots.cover(part.from_at, part.until_at):
                spent = program.unknown(part.rate * slots.lengths_s[node])
                program.add(row, spent, 1.0)
                program.add(node, spent, -1.0)
            row += 1
    return dict(zip(work, program.maximized(len(work), row), strict=True))


def _lay_out(program: _Program, slots: Slots, workers: float) -> None:
    """One unknown a node: what is laid into it and below it. Row 0 is empty, as node 0 is."""
    filled = [program.unknown(workers * length_s) for length_s in slots.lengths_s]
    for node in range(1, len(filled)):
        program.add(node, filled[node], 1.0)
        if node < slots.leaves:
            program.add(node, filled[2 * node], -1.0)
            program.add(node, filled[2 * node + 1], -1.0)
