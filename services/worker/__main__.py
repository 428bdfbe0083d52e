"""Wiring of the worker."""

import faulthandler
import gc
import uuid
from contextlib import AsyncExitStack
from typing import Final

from services.worker.engine import EngineDied
from services.worker.engines import ENGINES
from services.worker.roster import Identity
from services.worker.settings import WorkerSettings
from services.worker.speedometer import Recording
from services.worker.worker import Worker
from shared.adapters.clock import SystemClock
from shared.adapters.kafka_from_settings import await_kafka
from shared.runtime.health import serve_health
from shared.runtime.run import run_service
from shared.scheduling.feeding import FEEDERS
from shared.telemetry.service import use_service

_GONE_WITHIN_S: Final = 10


async def main() -> None:
    settings = WorkerSettings.load()
    clock = SystemClock()
    engine = ENGINES[settings.engine](settings, clock)
    async with AsyncExitStack() as stack:
        stack.enter_context(use_service("worker", settings.tracing))
        bus = await stack.enter_async_context(await_kafka(settings, clock=clock))
        worker = Worker.of(
            me=Identity(
                name=settings.worker_name,
                incarnation=uuid.uuid4().hex[:12],
                model=settings.model,
                slots=settings.slots_of(engine.profile),
            ),
            bus=bus,
            engine=engine,
            clock=clock,
            feeder=FEEDERS[settings.feeder](engine.profile),
            recording=Recording.to(settings.record_steps),
            stuck_s=settings.stuck_s,
        )
        # Before the engine, which may take minutes to come up: alive, and not yet ready.
        await stack.enter_async_context(
            serve_health(settings.health_host, settings.health_port, worker.is_ready)
        )
        stack.push_async_callback(engine.stop)
        await engine.start()
        # What engines import and load stays until the end. The collector would look at it for
        # seconds, while tokens wait and again when the process ends.
        gc.collect()
        gc.freeze()
        try:
            await worker.serve(drain_s=settings.drain_s)
        except EngineDied:
            # What hangs may also hang while it is stopped. This asks nobody, exits with 1, and says
            # where it hung.
            faulthandler.dump_traceback_later(_GONE_WITHIN_S, exit=True)
            raise


if __name__ == "__main__":
    run_service(main)
