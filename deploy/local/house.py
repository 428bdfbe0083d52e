"""The whole house on one machine: a broker, a Redis, and every service as a process of its own."""

import contextlib
import fcntl
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from deploy.local.embedded_kafka import EmbeddedKafka
from deploy.local.errors import FolderTaken, LocalError, StoreUnreachable
from deploy.local.ports import LOOPBACK, chosen_port
from deploy.local.processes import Child, Household, answers
from deploy.local.real_kafka import FOR_LONG, RealKafka
from deploy.local.redis import LocalRedis, must_answer
from shared.adapters.kafka_from_settings import create_missing_topics
from shared.domain.errors import SettingsError, Unavailable
from shared.runtime.settings import ServiceSettings

EMBEDDED: Final = "embedded"
REAL: Final = "real"

# Whoever dies is noticed at once; this is for who hangs, and a busy machine takes its time.
_READY_WITHIN_S: Final = 120.0
# An engine may have to load its model first.
_ANSWERS_WITHIN_S: Final = 300.0
# The embedded broker does not wake a waiting reader, so readers of it ask often.
_FETCH_WAIT_MS: Final = {EMBEDDED: 3}
_NOTHING: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The workers of one model; `settings` are for them and their schedulers alone."""

    workers: int = 2
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """What to build. The first of the `pools` serves who names no model, and each has so many
    `schedulers`; `kafka` is embedded, real, or the address of a broker; `redis_url` None starts
    one; `settings` are environment variables for every service, on top of the rest; `pythons` are
    the interpreters of services that need another environment than ours, by service."""

    directory: Path
    port: int = 8000
    pools: Sequence[Pool] = (Pool(),)
    schedulers: int = 1
    kafka: str = EMBEDDED
    redis_url: str | None = None
    drain_s: float = 5.0
    settings: Mapping[str, str] = field(default_factory=dict)
    pythons: Mapping[str, str] = field(default_factory=dict)

    def told(self, pool: Pool) -> Mapping[str, str]:
        """What the processes of a pool find in their environment, as far as somebody chose it."""
        return {**os.environ, **self.settings, **pool.settings}

    def model_of(self, pool: Pool) -> str:
        return self.told(pool).get("CATO_MODEL") or "cato-demo"

    def reaching(self, kafka_servers: str, **given: int) -> ServiceSettings:
        """How every process of the house reaches its Kafka. Raises LocalError."""
        prefix = self.told(self.pools[0]).get("CATO_TOPIC_PREFIX", "")
        try:
            return ServiceSettings.load(kafka_servers=kafka_servers, topic_prefix=prefix, **given)
        except SettingsError as error:
            raise LocalError(str(error)) from error


@dataclass(slots=True, kw_only=True)
class House:
    """A house that answers at `base_url`; `children` are its processes by name."""

    blueprint: Blueprint
    base_url: str
    kafka_servers: str
    redis_url: str
    household: Household
    broker: RealKafka | EmbeddedKafka | None
    redis: LocalRedis | None
    _pools: dict[str, Pool] = field(default_factory=dict)

    @classmethod
    @contextlib.asynccontextmanager
    async def build(cls, blueprint: Blueprint) -> AsyncIterator[Self]:
        """Raises LocalError when a part lacks, a port is taken, or a process does not start."""
        port = chosen_port(blueprint.port, setting="--port")
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(alone_in(blueprint.directory))
            broker = await _broker(blueprint, stack)
            servers = broker.bootstrap if broker else blueprint.kafka
            redis = await _redis(blueprint, stack)
            await _make_topics(blueprint.reaching(servers))
            household = await stack.enter_async_context(
                Household.open(blueprint.directory / "logs", drain_s=blueprint.drain_s)
            )
            house = cls(
                blueprint=blueprint,
                base_url=f"http://{LOOPBACK}:{port}",
                kafka_servers=servers,
                redis_url=redis.url if redis else str(blueprint.redis_url),
                household=household,
                broker=broker,
                redis=redis,
            )
            await house._furnish(port)
            yield house

    def parts(self) -> list[Child]:
        """Every process of the house, its broker and its Redis included."""
        own = [part.child for part in (self.broker, self.redis) if part is not None]
        return [*own, *self.household.children]

    async def start(self, service: str, pool: Pool | None = None, **settings: str) -> Child:
        """One more process of a service, in the first pool or another; returns once it is ready."""
        child, ready_url = self._launch(service, pool, settings)
        await child.ready(answers(ready_url), within_s=_READY_WITHIN_S)
        return child

    def launch(self, service: str, pool: Pool | None = None, **settings: str) -> Child:
        """As `start`, without waiting until it is ready."""
        return self._launch(service, pool, settings)[0]

    def called(self, service: str, pool: Pool | None = None) -> list[Child]:
        """The living processes of one service, of all pools or one, in the order of their start."""
        return [
            child
            for child in self.household.children
            if child.name.startswith(service)
            and child.is_running()
            and (pool is None or self._pools[child.name] is pool)
        ]

    async def _furnish(self, port: int) -> None:
        """Side by side, because each spends its first second importing."""
        blueprint = self.blueprint
        launched = {"classifier": [self._launch("classifier")], "scheduler": [], "worker": []}
        for pool in blueprint.pools:
            for service, count in (("scheduler", blueprint.schedulers), ("worker", pool.workers)):
                launched[service] += [self._launch(service, pool) for _ in range(count)]
        ingress = self._launch("ingress", None, {"CATO_PORT": str(port)})
        for service, started in (*launched.items(), ("ingress", [ingress])):
            within_s = _ANSWERS_WITHIN_S if service == "worker" else _READY_WITHIN_S
            for child, ready_url in started:
                await child.ready(answers(ready_url), within_s=within_s)
        for pool in blueprint.pools:
            await self._answer_once(ingress[0], blueprint.model_of(pool))

    async def _answer_once(self, ingress: Child, model: str) -> None:
        """A pool is ready when it has answered: the first task pays for what all others share."""
        task = {"model": model, "prompt": "pass", "max_tokens": 1}
        await ingress.ready(
            answers(f"{self.base_url}/v1/completions", task, {"x-cato-task": "batch"}),
            within_s=_ANSWERS_WITHIN_S,
        )

    def _launch(
        self, service: str, pool: Pool | None = None, settings: Mapping[str, str] = _NOTHING
    ) -> tuple[Child, str]:
        pool = pool or self.blueprint.pools[0]
        name = f"{service}-{len(self._pools) + 1}"
        self._pools[name] = pool
        health_port = chosen_port(0, setting="health port")
        env = {
            **self._common(),
            **({} if service == "ingress" else {"CATO_HEALTH_PORT": str(health_port)}),
            **({"CATO_WORKER_NAME": name} if service == "worker" else {}),
            **self.blueprint.settings,
            **pool.settings,
            **settings,
        }
        port = env.get("CATO_PORT", str(health_port)) if service == "ingress" else str(health_port)
        python = self.blueprint.pythons.get(service, sys.executable)
        argv = [python, "-m", f"services.{service}"]
        child = self.household.launch(name, argv, env=env)
        return child, f"http://{LOOPBACK}:{port}/readyz"

    def _common(self) -> dict[str, str]:
        wait_ms = _FETCH_WAIT_MS.get(self.blueprint.kafka)
        return {
            "CATO_KAFKA_SERVERS": self.kafka_servers,
            "CATO_REDIS_URL": self.redis_url,
            "CATO_DRAIN_S": str(self.blueprint.drain_s),
            "CATO_TRACE_DIR": str(self.blueprint.directory / "traces"),
            **({} if wait_ms is None else {"CATO_FETCH_WAIT_MS": str(wait_ms)}),
        }


@contextlib.contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Two houses in one folder would read each other's logs. Raises FolderTaken."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "house.lock").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FolderTaken(directory) from error
        yield


async def _broker(
    blueprint: Blueprint, stack: contextlib.AsyncExitStack
) -> RealKafka | EmbeddedKafka | None:
    directory = blueprint.directory / "kafka"
    if blueprint.kafka == REAL:
        return await stack.enter_async_context(RealKafka.start(directory, compiler=FOR_LONG))
    if blueprint.kafka == EMBEDDED:
        return await stack.enter_async_context(EmbeddedKafka.start(directory))
    return None


async def _make_topics(kafka: ServiceSettings) -> None:
    try:
        await create_missing_topics(kafka)
    except Unavailable as error:
        remedy = "start it first, or correct --kafka or KAFKA_BOOTSTRAP"
        raise StoreUnreachable(str(error), remedy) from error


async def _redis(blueprint: Blueprint, stack: contextlib.AsyncExitStack) -> LocalRedis | None:
    if blueprint.redis_url is not None:
        await must_answer(blueprint.redis_url)
        return None
    return await stack.enter_async_context(LocalRedis.start(blueprint.directory / "redis"))
