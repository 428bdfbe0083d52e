"""Wiring of the classifier."""

import asyncio
from contextlib import AsyncExitStack

from services.classifier.classifier import Classifier
from services.classifier.classifiers import CLASSIFIERS
from services.classifier.settings import ClassifierSettings
from shared.adapters.clock import SystemClock
from shared.adapters.kafka.connection import KafkaSecurity
from shared.adapters.kafka_bus import KafkaBus
from shared.runtime.health import serve_health
from shared.runtime.run import run_service
from shared.telemetry.service import use_service


async def main() -> None:
    settings = ClassifierSettings.load()
    async with AsyncExitStack() as stack:
        stack.enter_context(use_service("classifier", settings.tracing))
        bus = await stack.enter_async_context(
            KafkaBus.connect(
                settings.kafka_servers,
                security=_security(settings),
                topic_prefix=settings.topic_prefix,
                fetch_wait_ms=settings.fetch_wait_ms,
            )
        )
        classifier = Classifier(
            bus=bus, judge=CLASSIFIERS[settings.classifier](), clock=SystemClock()
        )
        await stack.enter_async_context(
            serve_health(settings.health_host, settings.health_port, lambda: True)
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(classifier.serve())
            group.create_task(classifier.listen())


def _security(settings: ClassifierSettings) -> KafkaSecurity:
    password = settings.kafka_password
    return KafkaSecurity(
        protocol=settings.kafka_protocol,
        sasl_mechanism=settings.kafka_sasl_mechanism,
        username=settings.kafka_username,
        password=password.get_secret_value() if password else None,
        ca_file=settings.kafka_ca_file,
    )


if __name__ == "__main__":
    run_service(main)
