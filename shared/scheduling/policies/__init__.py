"""The policies one can choose from: one file and one line each."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from shared.scheduling.policies.cato import Cato
from shared.scheduling.policies.class_priority import ClassPriority
from shared.scheduling.policies.edf import EarliestDeadlineFirst
from shared.scheduling.policies.hybrid import Hybrid
from shared.scheduling.policies.least_loaded import LeastLoaded
from shared.scheduling.policies.least_slack import LeastSlackFirst
from shared.scheduling.policies.power_of_two import PowerOfTwo
from shared.scheduling.policies.round_robin import RoundRobin
from shared.scheduling.policies.saber import Saber
from shared.scheduling.policy import Policy

POLICIES: Final[Mapping[str, Callable[[], Policy]]] = {
    "round_robin": RoundRobin,
    "least_loaded": LeastLoaded,
    "power_of_two": PowerOfTwo,
    "class_priority": ClassPriority,
    "edf": EarliestDeadlineFirst,
    "least_slack": LeastSlackFirst,
    "saber": Saber,
    "hybrid": Hybrid,
    "cato": Cato,
}


def favouring(name: str, favour: float) -> Policy:
    """`favour`: 0 keeps as many promises as possible, 1 those of every kind alike.

    Only `cato` can be told; the others are what they are.
    """
    policy = POLICIES[name]()
    return replace(policy, favour=favour) if isinstance(policy, Cato) else policy
