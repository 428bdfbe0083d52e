"""A comparison of chains as Markdown: how many were on time, and what it cost the others."""

import math
from collections.abc import Iterator, Sequence
from statistics import fmean, stdev

from loadgen.chains import CHAINED, MANNERS, OURS, ChainRow
from loadgen.compare_table import student_t


def markdown(rows: Sequence[ChainRow]) -> str:
    loads = sorted({row.load for row in rows})
    return "\n".join(line for load in loads for line in _section(load, rows)) + "\n"


def _section(load: float, rows: Sequence[ChainRow]) -> Iterator[str]:
    here = {name: _under(rows, name, load) for name in MANNERS}
    ours = here[OURS]
    kinds = sorted({kind for row in ours for kind in row.by_kind})
    head = ["", "chains on time", "of them, ours ÷ this", *kinds, "all", "mean over kinds"]
    yield f"## {load:g}×, {ours[0].workers} workers, {len(ours)} seeds"
    yield ""
    yield f"{sum(row.chains for row in ours)} chains; attainment by kind, a chain counted once."
    yield ""
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for name, these in here.items():
        yield f"| {' | '.join([name, *_cells(these, ours, kinds)])} |"
    if ours[0].upper_bound is not None:
        most = fmean(row.upper_bound or 0.0 for row in ours)
        blank = [""] * (len(kinds) + 2)
        yield f"| {' | '.join(['upper bound (LP)', *blank, f'{most:.3f}', ''])} |"
    yield ""


def _cells(
    these: Sequence[ChainRow], ours: Sequence[ChainRow], kinds: Sequence[str]
) -> Iterator[str]:
    yield str(sum(row.chains_on_time for row in these))
    yield "" if these == ours else ratio(ours, these)
    for kind in kinds:
        told = f"{fmean(row.by_kind.get(kind, 0.0) for row in these):.3f}"
        yield f"**{told}**" if kind in CHAINED else told
    yield f"{fmean(row.attainment for row in these):.3f}"
    yield f"{fmean(row.kind_mean for row in these):.3f}"


def ratio(ours: Sequence[ChainRow], theirs: Sequence[ChainRow]) -> str:
    """Of the sums, with a 95 % interval over seeds: the ratio's error is that of the differences
    ours - ratio · theirs, paired (Fieller's first-order form)."""
    total = sum(row.chains_on_time for row in theirs)
    if not total:
        return "∞"
    times = sum(row.chains_on_time for row in ours) / total
    by_seed = {row.seed: row.chains_on_time for row in theirs}
    apart = [row.chains_on_time - times * by_seed[row.seed] for row in ours]
    if len(apart) < 2:  # noqa: PLR2004 - one seed has no interval
        return f"{times:.2f}"
    error = student_t(len(apart)) * stdev(apart) * math.sqrt(len(apart)) / total
    return f"{times:.2f} ± {error:.2f}"


def _under(rows: Sequence[ChainRow], manner: str, load: float) -> list[ChainRow]:
    return [row for row in rows if row.manner == manner and row.load == load]
