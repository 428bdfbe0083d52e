"""A chain has one deadline; what is left of it is split anew over the steps that are to come."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from shared.domain.task import LatencyClass, Prediction, Task
from shared.scheduling.cost import Cost

# A plan needs some number even where nothing is known.
_LEAST_COST_S: Final = 1e-3
_LONGEST_S: Final = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """A chain between two stages, as predicted now.

    Instants are epoch seconds. `costs_s` are the stages to come, in order, each in seconds from
    its start to its last token; `first_costs_s` are all stages as predicted when the chain came.
    """

    received_at: float
    deadline_at: float
    now: float
    costs_s: Sequence[float]
    first_costs_s: Sequence[float]

    @property
    def left_s(self) -> float:
        """What remains of the promise; nothing once it is broken."""
        return _known(self.deadline_at - self.now)


# Seconds for each stage to come, counted from when it can begin.
Split = Callable[[Journey], tuple[float, ...]]


def resplit(journey: Journey) -> tuple[float, ...]:
    """What is left goes to the stages to come, in proportion to what each is predicted to cost.

    A stage that was quick leaves its spare time to all that follow, and a slow one takes it from
    all. This is the proportional deadline assignment of Kao and Garcia-Molina (equal flexibility,
    ICDCS 1993), renewed after each stage.
    """
    return _shared_out(journey.left_s, journey.costs_s)


def fixed(journey: Journey) -> tuple[float, ...]:
    """Each stage has its part of the whole promise, settled when the chain came."""
    budgets_s = _shared_out(
        _known(journey.deadline_at - journey.received_at), journey.first_costs_s
    )
    coming = len(journey.costs_s)
    return budgets_s[len(budgets_s) - coming :] if coming else ()


def whole(journey: Journey) -> tuple[float, ...]:
    """No split: every stage is due when the chain is, less the least that must follow it."""
    costs_s = [_known(cost_s) for cost_s in journey.costs_s]
    after_s = [sum(costs_s[stage + 1 :]) for stage in range(len(costs_s))]
    due_s = [max(0.0, journey.left_s - follows_s) for follows_s in after_s]
    return tuple(due - before for due, before in zip(due_s, [0.0, *due_s], strict=False))


SPLITS: Final[Mapping[str, Split]] = {"resplit": resplit, "fixed": fixed, "whole": whole}


def stage_cost_s(cost: Cost, like: Task, prediction: Prediction) -> float:
    """Seconds from the start of one branch to its last token.

    Branches run side by side, so a stage costs what its longest branch does.
    """
    alone = replace(like, latency_class=LatencyClass.E2E, prediction=prediction)
    return _known(cost.promised_s(alone))


def _shared_out(total_s: float, costs_s: Sequence[float]) -> tuple[float, ...]:
    weights = [max(_LEAST_COST_S, _known(cost_s)) for cost_s in costs_s]
    whole_s = math.fsum(weights)
    return tuple(total_s * (weight / whole_s) for weight in weights)


def _known(duration_s: float) -> float:
    """Predictions may be nonsense, a plan may not."""
    return min(duration_s, _LONGEST_S) if duration_s > 0 else 0.0
