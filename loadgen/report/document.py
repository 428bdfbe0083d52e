"""A report is written once as JSON; tables and pages are read from it, of one run or of several.

`{"schema": 1, "runs": [RunReport, …]}`; names end in their unit, shares lie between 0 and 1, and
null stands for a percentile that was never reached or a share of nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import TypeAdapter, ValidationError

from loadgen.report.figures import Figures
from shared.domain.task import Promise

_LATE_SENDER_S: Final = 0.05


class ReportUnreadable(Exception):
    def __init__(self, path: Path, found: str) -> None:
        self.path = path
        super().__init__(f"{path}: expected a report.json of `loadgen run`, found {found}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """How well the generator itself did: how late it sent, and what a request cost it."""

    late_p50_s: float
    late_p99_s: float
    cpu_ms_per_request: float

    def is_late(self) -> bool:
        return self.late_p99_s > _LATE_SENDER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """`setting`: what was played, in words; `sender` is None for a simulated run."""

    name: str
    source: Literal["live", "simulated"]
    setting: Mapping[str, str]
    duration_s: float
    offered_per_s: float
    limits: Promise | None
    sender: Sender | None
    figures: Figures

    def warnings(self) -> tuple[str, ...]:
        """What a reader must know before believing the figures."""
        return tuple(self._warnings())

    def _warnings(self) -> Iterable[str]:
        if self.figures.is_synthetic:
            yield "Tokens are synthetic: a simulated engine made them up; only times are real."
        if self.sender is not None and self.sender.is_late():
            yield (
                f"The load generator itself was late: p99 {self.sender.late_p99_s * 1000:.0f} ms. "
                "The figures judge it as well as the house."
            )
        if self.figures.causes:
            told = ", ".join(f"{n} × {cause}" for cause, n in self.figures.causes.items())
            yield f"Errors: {told}."

    def headline(self) -> str:
        total = self.figures.total
        if total.attainment is None:
            return f"{self.name}: nothing was asked that could have been kept"
        return (
            f"{self.name}: {total.attainment:.1%} of {total.counted:,} requests kept their whole "
            f"promise ({total.goodput_per_s:.1f} on time per second)"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    schema: Literal[1]
    runs: tuple[RunReport, ...]


_DOCUMENT: Final = TypeAdapter(_Document)


def encode(runs: Sequence[RunReport]) -> bytes:
    return _DOCUMENT.dump_json(_Document(schema=1, runs=tuple(runs)), indent=1)


def read_runs(path: Path) -> tuple[RunReport, ...]:
    try:
        return _DOCUMENT.validate_json(path.read_bytes()).runs
    except OSError as error:
        raise ReportUnreadable(path, error.strerror or "nothing") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ReportUnreadable(path, f"{place}: {first['msg']}") from error
