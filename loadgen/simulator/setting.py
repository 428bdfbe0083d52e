"""What a simulated house is like."""

from collections.abc import Callable
from dataclasses import dataclass

from loadgen.simulator.speed import Speed
from shared.scheduling.cost import Cost
from shared.scheduling.feeding import Feeder
from shared.scheduling.policy import Policy
from shared.scheduling.step_time import EngineProfile


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """So many more workers, or fewer, from that second on."""

    at_s: float
    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """`hop_s`: from a decision to the worker, and back with a report; `report_s`: the longest a
    busy worker is silent, `apart_s`: the shortest. `cost` is what the scheduler believes of its
    engines, `profile` what they are. `window_s`: how long requests come. `retries`: so often a
    client that was shed asks again, after `backoff_s` and each time twice as long. `new_speed`:
    what a worker believes of its own steps; without it, it knows. `prefix_share` of a session's
    prompt is what its next one begins with; 0: engines cache no prefixes."""

    policy: Policy
    feeder: Feeder
    profile: EngineProfile
    cost: Cost
    workers: int
    window_s: float
    slots: int
    hop_s: float = 0.003
    report_s: float = 0.1
    apart_s: float = 0.005
    starvation_s: float = 60.0
    retries: int = 0
    backoff_s: float = 0.5
    prefix_share: float = 0.0
    new_speed: Callable[[], Speed] | None = None
