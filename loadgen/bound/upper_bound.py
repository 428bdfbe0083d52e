"""How many promises could anybody have kept who knew the whole trace? Not more than this.

A linear program over slots of time: x[i, s] seconds of promised work of request i in slot s,
between its arrival and its deadline and no faster than alone; Σ_i x[i, s] at most what the
workers have in that slot; Σ_s x[i, s] = y_i · work_i; max Σ y_i, 0 ≤ y_i ≤ 1. Whatever a schedule
keeps is such an x with y_i = 1 (`promised` says why), so that no policy can be above.

A long window would be hundreds of slots. Instead work is laid into the few nodes of a binary tree
that make up its window, and may lie anywhere below them. The nodes nest, so that by Hall's theorem
there is room for all of it in the slots exactly when, for every node, what was laid into it and
below it fits into its time.

A chain is kept when all its parts are. Its life is cut into a few cells, and at the end of each
cell the share that is done of a part is at most the share that is done of each part before it. A
schedule that keeps the chain does that: a part begins when those before it have ended, so that its
share is 0 or theirs is 1. One that does not keep it is an x of 0; and the rows are linear, so that
they hold for every mixture of such schedules too. No policy can be above.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, product
from typing import Final

from loadgen.bound.promised import Part, chain_parts, is_counted, parts
from loadgen.bound.slots import Slots
from loadgen.extra import extra
from loadgen.workloads.arrival import Arrival
from loadgen.workloads.chains import ChainArrival
from shared.scheduling.step_time import EngineProfile

_CELLS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class UpperBound:
    """`kept`: by place in the workload, how much of each promise the program keeps. `attainment`
    is their sum over the requests that count, as attainment counts them."""

    attainment: float
    kept: Sequence[float]


def upper_bound(
    workload: Sequence[Arrival],
    profile: EngineProfile,
    workers: float,
    chains: Sequence[ChainArrival] = (),
) -> UpperBound:
    """Needs the extra `load`; raises ExtraMissing. `workers` may be a part of one; chains have the
    places after the workload."""
    counted = {place for place, each in enumerate(workload) if is_counted(each, profile)}
    work = {place: parts(workload[place], profile) for place in counted}
    asked = len(workload) + len(chains)
    work |= {len(workload) + at: chain_parts(each, profile) for at, each in enumerate(chains)}
    counted |= set(range(len(workload), asked))
    feasible = {place: of for place, of in work.items() if all(part.fits() for part in of)}
    kept = [float(place in feasible) for place in range(asked)]
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
    pieces = {place: list(_pieces(of)) for place, of in work.items()}
    slots = Slots.between((each.from_at, each.until_at) for each in chain(*pieces.values()))
    program = _Program()
    kept = {place: program.unknown(1.0) for place in work}
    _lay_out(program, slots, workers)
    row = len(slots.lengths_s)
    for place, of in work.items():
        spent = _spend(program, slots, of, pieces[place], row)
        for part in of:
            program.add(row, kept[place], -part.work_s)
            row += 1
        row = _put_in_order(program, of, spent, row)
    return dict(zip(work, program.maximized(len(work), row), strict=True))


@dataclass(frozen=True, slots=True)
class _Piece:
    """What of a part's window lies in one cell of its request's life."""

    part: int
    cell: int
    from_at: float
    until_at: float


# By piece: the unknowns of which what is spent in it is the sum.
_Spent = dict[tuple[int, int], list[int]]


def _pieces(of: Sequence[Part]) -> Iterator[_Piece]:
    """Without an order among the parts there is one cell."""
    cells = _CELLS if any(part.after for part in of) else 1
    first_at, last_at = min(part.from_at for part in of), max(part.until_at for part in of)
    for cell, (number, part) in product(range(cells), enumerate(of)):
        left = first_at + (last_at - first_at) * cell / cells
        right = first_at + (last_at - first_at) * (cell + 1) / cells
        from_at, until_at = max(left, part.from_at), min(right, part.until_at)
        if from_at < until_at:
            yield _Piece(number, cell, from_at, until_at)


def _spend(
    program: _Program, slots: Slots, of: Sequence[Part], pieces: Sequence[_Piece], row: int
) -> _Spent:
    """Part n is balanced in row + n."""
    spent: _Spent = {}
    for piece in pieces:
        columns = spent.setdefault((piece.part, piece.cell), [])
        for node in slots.cover(piece.from_at, piece.until_at):
            column = program.unknown(of[piece.part].rate * slots.lengths_s[node])
            program.add(row + piece.part, column, 1.0)
            program.add(node, column, -1.0)
            columns.append(column)
    return spent


def _put_in_order(program: _Program, of: Sequence[Part], spent: _Spent, row: int) -> int:
    """No part gets ahead of one before it; returns the next free row."""
    for later, part in enumerate(of):
        for earlier in part.after:
            behind: int | None = None
            for cell in range(_CELLS):
                if behind is not None:
                    program.add(row, behind, 1.0)
                behind = program.unknown(1.0)
                program.add(row, behind, -1.0)
                for column in spent.get((earlier, cell), ()):
                    program.add(row, column, 1.0 / of[earlier].work_s)
                for column in spent.get((later, cell), ()):
                    program.add(row, column, -1.0 / part.work_s)
                row += 1
    return row


def _lay_out(program: _Program, slots: Slots, workers: float) -> None:
    """One unknown a node: what is laid into it and below it. Row 0 is empty, as node 0 is."""
    filled = [program.unknown(workers * length_s) for length_s in slots.lengths_s]
    for node in range(1, len(filled)):
        program.add(node, filled[node], 1.0)
        if node < slots.leaves:
            program.add(node, filled[2 * node], -1.0)
            program.add(node, filled[2 * node + 1], -1.0)
