"""One Apache Kafka node on loopback: broker and controller in one, as small as Kafka can be."""

import asyncio
import base64
import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from aiokafka.client import AIOKafkaClient

from deploy.local.kafka_classpath import KafkaProgram, kafka_program
from deploy.local.ports import LOOPBACK, chosen_port
from deploy.local.processes import Child

RECORD_LIMIT_BYTES: Final = 4 * 1024 * 1024

_READY_WITHIN_S = 120.0
_DRAIN_S = 10.0
_LOG4J = Path(__file__).with_name("log4j2.xml")

_JVM = ("-Xms192m", "-Xmx448m", "-XX:+UseSerialGC", f"-Dlog4j2.configurationFile={_LOG4J}")
# The quick compiler alone: ready in half the time, and a quarter slower once all is warm.
FOR_TESTS: Final = ("-XX:TieredStopAtLevel=1",)
FOR_LONG: Final[tuple[str, ...]] = ()


@dataclass(slots=True, kw_only=True)
class RealKafka:
    """One broker on one loopback port, which it keeps when it is started again."""

    directory: Path
    port: int
    _controller_port: int
    _program: KafkaProgram
    _compiler: tuple[str, ...]
    _child: Child | None = field(default=None)

    @classmethod
    @contextlib.asynccontextmanager
    async def start(
        cls,
        directory: Path,
        *,
        port: int = 0,
        setting: str = "Kafka port",
        compiler: tuple[str, ...] = FOR_TESTS,
    ) -> AsyncIterator[Self]:
        """A broker that answers; KafkaUnavailable says what this machine lacks for one."""
        directory.mkdir(parents=True, exist_ok=True)
        kafka = cls(
            directory=directory.resolve(),
            port=chosen_port(port, setting=setting),
            _controller_port=chosen_port(0, setting="Kafka controller port"),
            _program=await kafka_program(),
            _compiler=compiler,
        )
        try:
            await kafka.restart()
            yield kafka
        finally:
            await kafka.stop()

    @property
    def bootstrap(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def child(self) -> Child:
        if self._child is None:
            raise LookupError("Kafka was never started")
        return self._child

    async def restart(self) -> None:
        """Start it anew, with the records that its directory holds."""
        await self.stop()
        self._properties.write_text(self._settings())
        if not (self._records / "meta.properties").exists():
            await self._format()
        self._child = self._run("kafka.Kafka", str(self._properties))
        await self._child.ready(self._knows_itself, within_s=_READY_WITHIN_S)

    async def stop(self) -> None:
        if self._child is not None:
            await self._child.stop(drain_s=_DRAIN_S)

    def kill(self) -> None:
        """End it as a failing machine would."""
        self.child.kill()

    @property
    def _properties(self) -> Path:
        return self.directory / "server.properties"

    @property
    def _records(self) -> Path:
        return self.directory / "records"

    async def _format(self) -> None:
        cluster = cluster_id(uuid.uuid4().bytes)
        settings = ("-t", cluster, "-c", str(self._properties))
        formatting = self._run("kafka.tools.StorageTool", "format", *settings)
        try:
            async with asyncio.timeout(_READY_WITHIN_S):
                status = await formatting.ended()
        finally:
            formatting.kill()
        formatting.must_have_succeeded(status)

    def _run(self, main_class: str, *arguments: str) -> Child:
        java = (self._program.java, *_JVM, *self._compiler, "-cp", self._program.classpath)
        log = self.directory / "kafka.log"
        return Child.start("kafka", [*java, main_class, *arguments], log=log, cwd=self.directory)

    async def _knows_itself(self) -> bool:
        """Does it name itself a broker of its cluster, so that clients can begin?"""
        if not await _listens(self.port):
            return False
        client = AIOKafkaClient(bootstrap_servers=self.bootstrap)
        try:
            await client.bootstrap()
            return bool(client.cluster.brokers())
        except OSError:
            return False
        finally:
            await client.close()

    def _settings(self) -> str:
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{LOOPBACK}:{self._controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": (
                f"PLAINTEXT://{self.bootstrap},CONTROLLER://{LOOPBACK}:{self._controller_port}"
            ),
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": self._records,
            **_SMALL,
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())


_SMALL: Final = {
    "auto.create.topics.enable": "false",
    "message.max.bytes": RECORD_LIMIT_BYTES,
    "replica.fetch.max.bytes": RECORD_LIMIT_BYTES,
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 1,
    # Groups form at once: nobody waits for members that could still come.
    "group.initial.rebalance.delay.ms": 0,
    "num.network.threads": 2,
    "num.io.threads": 4,
    "background.threads": 2,
    # After a crash the name of the dead broker stays taken for this long.
    "broker.session.timeout.ms": 4000,
    "broker.heartbeat.interval.ms": 500,
    # The cleaner's default buffer alone is a third of this heap.
    "log.cleaner.dedupe.buffer.size": 4 * 1024 * 1024,
    # Each partition maps its index files whole, and the house has many small partitions.
    "log.index.size.max.bytes": 1024 * 1024,
}


def cluster_id(seed: bytes) -> str:
    """16 bytes as Kafka writes them; its tools would take a leading dash for an option."""
    undashed = bytes([seed[0] & 0x7F]) + seed[1:]
    return base64.urlsafe_b64encode(undashed).decode().rstrip("=")


async def _listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection(LOOPBACK, port)
        writer.close()
        return True
    return False
