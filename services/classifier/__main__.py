"""Wiring of the classifier."""

import asyncio
from contextlib import AsyncExitStack

from services.classifier.classifier import Classifier
from services.classifier.classifiers import CLASSIFIERS
from services.classifier.settings import ClassifierSettings
from shared.adapters.clock import SystemClock
from shared.adapters.kafka_from_settings import await_kafka
from shared.runtime.health import serve_health
from shared.runtime.run import run_service
from shared.telemetry.service import use_service


async def main() -> None:
    settings = ClassifierSettings.load()
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        stack.enter_context(use_service("classifier", settings.tracing))
        bus = await stack.enter_async_context(await_kafka(settings, clock=clock))
        classifier = Classifier(bus=bus, judge=CLASSIFIERS[settings.classifier](), clock=clock)
        await stack.enter_async_context(
            serve_health(settings.health_host, settings.health_port, lambda: True)
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(classifier.serve())
            group.create_task(classifier.listen())


if __name__ == "__main__":
    run_service(main)
