"""The outlook of a pool: how fast it works, what will come, and how many workers that takes."""

from dataclasses import dataclass, field
from typing import Final

from services.scheduler.mirror import Mirror
from shared.scheduling.forecast import Pace
from shared.scheduling.scaling import Demand, workers_needed

# Outside of this the prediction of work is not off, something is broken.
_PACES: Final = (0.5, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """`start_s`: how long a new worker takes until it serves; `caution`: head-room, in
    multiples of the forecast's error lately."""

    start_s: float = 30.0
    caution: float = 1.0


@dataclass(slots=True, kw_only=True)
class Outlook:
    """Learned beat by beat; `needed` is the number of workers that keep the promise."""

    foresight: Foresight = field(default_factory=Foresight)
    pace: Pace = field(default_factory=Pace)
    demand: Demand = field(init=False)
    needed: int = 0

    def __post_init__(self) -> None:
        self.demand = Demand(self.foresight.start_s)

    def learn(self, mirror: Mirror, *, workers: int, elapsed_s: float, now: float) -> None:
        """What came and what was settled since the last beat."""
        if len(mirror.backlog):
            self.pace.learn(settled_s=mirror.settled_s, workers=workers, elapsed_s=elapsed_s)
        self.demand.note(mirror.arrived_s, now)
        mirror.settled_s = mirror.arrived_s = 0.0

    def look_ahead(self, mirror: Mirror, *, fleet: int, now: float) -> None:
        slowest, fastest = _PACES
        self.needed = workers_needed(
            mirror.backlog.promised(now),
            coming=self.demand.ahead(self.foresight.caution),
            fleet=fleet,
            start_s=self.foresight.start_s,
            pace=min(fastest, max(slowest, self.pace.value)),
        )
