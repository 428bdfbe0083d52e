"""Wiring of the scaler of containers."""

from contextlib import AsyncExitStack

from deploy.scaler.scaler import Scaler
from deploy.scaler.settings import ScalerSettings
from shared.adapters.clock import SystemClock
from shared.adapters.kafka_from_settings import await_kafka
from shared.domain.errors import SettingsError
from shared.runtime.health import serve_health
from shared.runtime.run import run_service
from shared.scheduling.scaling import Steady
from shared.telemetry.service import use_service


async def main() -> None:
    settings = ScalerSettings.load()
    try:
        from deploy.scaler.containers import ContainerWorkers
    except ImportError as error:
        raise SettingsError(
            "containers are scaled through Docker's SDK, which is missing:"
            " pip install cato[containers]"
        ) from error
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        stack.enter_context(use_service("scaler", settings.tracing))
        workers = await stack.enter_async_context(
            ContainerWorkers.connect(
                project=settings.compose_project,
                service=settings.compose_service,
                stop_s=settings.stop_s,
            )
        )
        bus = await stack.enter_async_context(await_kafka(settings, clock=clock))
        await stack.enter_async_context(
            serve_health(settings.health_host, settings.health_port, lambda: True)
        )
        scaler = Scaler(
            workers=workers,
            model=settings.model,
            steady=Steady(
                least=settings.scale_least, most=settings.scale_most, hold_s=settings.scale_hold_s
            ),
            clock=clock,
        )
        await scaler.follow(bus)


if __name__ == "__main__":
    run_service(main)
