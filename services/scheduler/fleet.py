"""The fleet is what the workers said of themselves, and how long ago."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from shared.messages.pool import WorkerReported
from shared.scheduling.cost import Cost
from shared.scheduling.step_time import StepTime

# A worker's clock may drift from ours by so much each second.
_DRIFT: Final = 1e-3
# What the quickest report takes, measured on a laptop: its age is not all the clocks' difference.
_TRANSIT_S: Final = 0.0015
# A report that seems to be older is not old: a clock has leapt.
_OLDEST_S: Final = 0.2


def wire_name(report: WorkerReported) -> str:
    """One life of one worker; a restarted worker is another one."""
    return f"{report.worker}/{report.incarnation}"


@dataclass(slots=True, kw_only=True)
class Seat:
    """One worker's dispatch partition, its last report, when it came and when it was written.

    Instants are epoch seconds, ours. `lag_s` is how old a report seems at least: what it takes, and
    the difference of the clocks. `cost` is what tasks cost there by its own timings, None where it
    has told of none.
    """

    name: str
    to_partition: int
    report: WorkerReported
    heard_at: float
    written_at: float = 0.0
    lag_s: float = math.inf
    served_at: float = 0.0
    cost: Cost | None = None

    def hear(self, report: WorkerReported, now: float) -> None:
        """A report may be late; how late, the quickest one so far tells."""
        lag_s = now - report.at
        quickest_s = self.lag_s + _DRIFT * max(0.0, now - self.heard_at)
        self.lag_s = lag_s if lag_s - quickest_s > _OLDEST_S else min(lag_s, quickest_s)
        self.report, self.heard_at = report, now
        self.written_at = report.at + self.lag_s - _TRANSIT_S

    def learn_cost(self, prior: Cost) -> Cost:
        """The prior where it tells nothing, or nonsense."""
        fitted = self.report.load.fitted
        if fitted is not None:
            self.cost = prior.measured(
                StepTime(
                    base_s=fitted.base_s,
                    prefill_s=fitted.prefill_s,
                    attention_s=fitted.attention_s,
                    decode_s=fitted.decode_s,
                    kv_s=fitted.kv_s,
                )
            )
        return self.cost or prior


@dataclass(slots=True)
class Fleet:
    """Silence is measured from `watched_since`: a new leader first listens, then judges.

    It is infinite until the reports of the workers are read. Seats are given from `first` on: pools
    that share a partition read each other's tasks, and drop them.
    """

    partitions: int
    first: int = 0
    watched_since: float = math.inf
    seats: dict[str, Seat] = field(default_factory=dict)
    # Seats of workers that live anew, until what they held was taken back.
    over: set[str] = field(default_factory=set)

    def hear(self, report: WorkerReported, now: float) -> Seat | None:
        """Seat the worker, keeping the partition it says it has if nobody else sits there.

        None when every partition is taken.
        """
        name = wire_name(report)
        seat = self.seats.get(name)
        if seat is None:
            self.over.update(self._former_lives(report))
            partition = self._partition_for(report)
            if partition is None:
                return None
            seat = Seat(name=name, to_partition=partition, report=report, heard_at=now)
            self.seats[name] = seat
        seat.hear(report, now)
        return seat

    def served(self, name: str, at: float) -> None:
        """It was sent a task; within one instant the order of sending is kept."""
        seat = self.seats.get(name)
        if seat is not None:
            newest = max(other.served_at for other in self.seats.values())
            seat.served_at = max(at, newest + 1e-6)

    def leave(self, name: str) -> None:
        """Its seat is free."""
        self.seats.pop(name, None)
        self.over.discard(name)

    def listening(self, now: float, within_s: float) -> Iterator[Seat]:
        """Those that may be sent work: heard lately, seated where they read, and not draining."""
        for seat in self.seats.values():
            is_here = seat.report.to_partition == seat.to_partition and seat.name not in self.over
            is_ready = is_here and not seat.report.draining
            if is_ready and now - seat.heard_at <= within_s:
                yield seat

    def context_tokens(self) -> int | None:
        """What fits no worker, fits nowhere; None where one of them does not tell."""
        told = [seat.report.context_tokens for seat in self.seats.values()]
        known = [tokens for tokens in told if tokens is not None]
        return max(known) if known and len(known) == len(told) else None

    def is_gone(self, name: str, now: float, for_s: float) -> bool:
        """It has been silent for so long, or lives anew under another name."""
        return name in self.over or self.is_silent(name, now, for_s)

    def is_silent(self, name: str, now: float, for_s: float) -> bool:
        seat = self.seats.get(name)
        heard_at = self.watched_since if seat is None else seat.heard_at
        return now - max(heard_at, self.watched_since) > for_s

    def listen_anew(self, now: float) -> None:
        """The clock leapt, or we slept: what is silent now was perhaps only not heard."""
        if math.isfinite(self.watched_since):
            self.watched_since = now
        for seat in self.seats.values():
            seat.heard_at = min(seat.heard_at, now)

    def _former_lives(self, report: WorkerReported) -> Iterator[str]:
        """Earlier incarnations of this worker, which cannot be alive any more."""
        for name, seat in self.seats.items():
            if seat.report.worker == report.worker:
                yield name

    def _partition_for(self, report: WorkerReported) -> int | None:
        taken = {seat.to_partition for seat in self.seats.values()}
        row = ((self.first + number) % self.partitions for number in range(self.partitions))
        free = [number for number in row if number not in taken]
        if report.to_partition in free:
            return report.to_partition
        return free[0] if free else None
