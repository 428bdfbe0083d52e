"""`up --scale-to N`: the house on a laptop grows with its load, and shrinks when it may."""

import os
from typing import Final

from deploy.local.errors import LocalError
from deploy.local.house import EMBEDDED, House
from deploy.local.workers import WorkerProcesses
from deploy.scaler.scaler import Scaler
from shared.adapters.clock import SystemClock
from shared.adapters.kafka_bus import KafkaBus
from shared.scheduling.scaling import Steady

# A worker here is a process that only imports; whoever's loads a model sets the variable.
WORKER_STARTS_IN: Final = {"CATO_WORKER_START_S": "3"}
_DRAIN_S: Final = 60.0


class BoundsContradict(LocalError):
    def __init__(self, workers: int, scale_to: int) -> None:
        super().__init__(
            f"--scale-to {scale_to} is below --workers {workers}, with which the house begins;"
            " name at least as many"
        )


async def keep_scaled(house: House, *, most: int, hold_s: float) -> None:
    """Between the workers that the house was built with and `most`, until cancelled."""
    clock = SystemClock()
    # The embedded broker lets a reader wait for as long as it said, whatever has come.
    wait_ms = 100 if house.blueprint.kafka == EMBEDDED else 500
    told = {**os.environ, **house.blueprint.settings}
    async with (
        KafkaBus.connect(
            house.kafka_servers,
            topic_prefix=told.get("CATO_TOPIC_PREFIX", ""),
            fetch_wait_ms=wait_ms,
            clock=clock,
        ) as bus,
        WorkerProcesses.of(house, drain_s=_DRAIN_S) as workers,
    ):
        scaler = Scaler(
            workers=workers,
            model=told.get("CATO_MODEL", "cato-demo"),
            steady=Steady(least=house.blueprint.workers, most=most, hold_s=hold_s),
            clock=clock,
        )
        await scaler.follow(bus)
