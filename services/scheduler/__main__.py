"""Wiring of the scheduler."""

import asyncio
from contextlib import AsyncExitStack

from services.scheduler.reign import Candidate, Throne
from services.scheduler.settings import SchedulerSettings
from shared.adapters.clock import SystemClock
from shared.adapters.kafka_from_settings import await_kafka
from shared.adapters.parser_process import ParserProcess
from shared.adapters.profiles import load_profile
from shared.adapters.redis_connection import connect_redis
from shared.adapters.redis_queue import RedisDeadlineQueue
from shared.adapters.redis_reply_leases import RedisReplyLeases
from shared.messages.catalogue import TokensProduced
from shared.runtime.health import serve_health
from shared.runtime.run import run_service
from shared.scheduling.backlog import Backlog
from shared.scheduling.cost import Cost
from shared.scheduling.policies import favouring
from shared.telemetry.service import use_service

# How many sequences share a step on a busy worker.
_COMPANY = 16.0


async def main() -> None:
    settings = SchedulerSettings.load()
    cost = Cost(profile=load_profile(settings.profile), company=_COMPANY)
    async with AsyncExitStack() as stack:
        stack.enter_context(use_service("scheduler", settings.tracing))
        redis = await stack.enter_async_context(connect_redis(settings.redis_url))
        clock = SystemClock()
        bus = await stack.enter_async_context(await_kafka(settings, clock=clock))
        reply_partitions = await bus.partitions(TokensProduced.base_topic)
        throne = Throne(
            queue=RedisDeadlineQueue(
                redis,
                settings.model,
                remember_s=settings.remember_s,
                body_ttl_s=settings.prompt_ttl_s,
            ),
            bus=bus,
            clock=clock,
            replies=RedisReplyLeases(redis, reply_partitions),
            candidate=Candidate(
                name=settings.scheduler_name,
                model=settings.model,
                leader_ttl_s=settings.leader_ttl_s,
                knobs=settings.knobs(),
                foresight=settings.foresight(),
                parser=ParserProcess(),
                new_backlog=lambda: Backlog(
                    policy=favouring(settings.policy, settings.favour), cost=cost
                ),
            ),
        )
        await stack.enter_async_context(
            serve_health(
                settings.health_host, settings.health_port, lambda: throne.standing.is_ready
            )
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(clock.keep_synchronised(redis))
            group.create_task(throne.stand())


if __name__ == "__main__":
    run_service(main)
