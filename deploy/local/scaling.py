"""`up --scale-to N`: the house on a laptop grows with its load, and shrinks when it may."""

import asyncio
from typing import Final

from deploy.local.errors import LocalError
from deploy.local.house import EMBEDDED, House, Pool
from deploy.local.workers import WorkerProcesses
from deploy.scaler.scaler import Scaler
from shared.adapters.clock import SystemClock
from shared.adapters.kafka_from_settings import connect_kafka
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
    """Each pool between the workers that it was built with and `most`, until cancelled."""
    async with asyncio.TaskGroup() as group:
        for pool in house.blueprint.pools:
            group.create_task(_keep_pool_scaled(house, pool, most=most, hold_s=hold_s))


async def _keep_pool_scaled(house: House, pool: Pool, *, most: int, hold_s: float) -> None:
    clock = SystemClock()
    # The embedded broker lets a reader wait for as long as it said, whatever has come.
    wait_ms = 100 if house.blueprint.kafka == EMBEDDED else 500
    async with (
        connect_kafka(
            house.blueprint.reaching(house.kafka_servers, fetch_wait_ms=wait_ms), clock=clock
        ) as bus,
        WorkerProcesses.of(house, pool, drain_s=_DRAIN_S) as workers,
    ):
        scaler = Scaler(
            workers=workers,
            model=house.blueprint.model_of(pool),
            steady=Steady(least=pool.workers, most=most, hold_s=hold_s),
            clock=clock,
        )
        await scaler.follow(bus)
