"""Wiring of the ingress."""

from contextlib import AsyncExitStack

from services.ingress.app import build_app
from services.ingress.backlogs import Backlogs
from services.ingress.gate import Gate
from services.ingress.ingress import Ingress
from services.ingress.journal import Journal
from services.ingress.replies import Replies
from services.ingress.serving import listen, serve, server_of
from services.ingress.settings import IngressSettings
from services.ingress.tenants import Tenants
from services.ingress.vigil import Vigil
from shared.adapters.clock import SystemClock
from shared.adapters.kafka_from_settings import await_kafka
from shared.adapters.redis_connection import BoundedRedis, connect_redis
from shared.adapters.redis_event_log import RedisEventLog
from shared.adapters.redis_idempotency import RedisIdempotency
from shared.adapters.redis_quota import RedisQuota
from shared.adapters.redis_reply_leases import RedisReplyLeases
from shared.domain.clock import Clock
from shared.messages.catalogue import TokensProduced
from shared.runtime.run import run_service
from shared.telemetry.service import use_service


async def main() -> None:
    settings = IngressSettings.load()
    tenants = Tenants.load(settings.tenants_file)
    listening = listen(settings.host, settings.port)
    async with AsyncExitStack() as stack:
        stack.enter_context(listening)
        stack.enter_context(use_service("ingress", settings.tracing))
        clock = SystemClock()
        redis = await stack.enter_async_context(connect_redis(settings.redis_url))
        followers = await stack.enter_async_context(connect_redis(settings.redis_url))
        bus = await stack.enter_async_context(await_kafka(settings, clock=clock))
        leases = RedisReplyLeases(redis, await bus.partitions(TokensProduced.base_topic))
        replies = Replies(bus=bus, leases=leases, clock=clock)
        backlogs = Backlogs(bus=bus, clock=clock)
        journal = _journal(settings, clock, redis, followers)
        ingress = Ingress(
            bus=bus,
            clock=clock,
            gate=Gate(
                tenants=tenants,
                quota=RedisQuota(redis),
                backlogs=backlogs,
                desk=replies.desk,
                knobs=settings.knobs(),
            ),
            journal=journal,
            vigil=Vigil(journal=journal, leases=leases),
        )
        await serve(
            ingress,
            server_of(build_app(ingress)),
            listening,
            [replies.serve(), backlogs.listen(), clock.keep_synchronised(redis)],
            drain_s=settings.drain_s,
        )


def _journal(
    settings: IngressSettings, clock: Clock, redis: BoundedRedis, followers: BoundedRedis
) -> Journal:
    log = RedisEventLog(redis, settings.event_ttl_s, settings.event_bytes, followers=followers)
    return Journal(
        log=log,
        idempotency=RedisIdempotency(redis),
        idempotency_ttl_s=settings.idempotency_ttl_s,
        clock=clock,
    )


if __name__ == "__main__":
    run_service(main)
