"""The in-memory Kafka broker inside librdkafka, in a process of its own: no Java, no disk.

`python -m deploy.local.embedded_kafka` prints its bootstrap address as one line and serves until
SIGTERM or until its standard input closes. It forgets everything at its end, and silently drops
what lies unread beyond about 5 MB a partition: for a laptop, never for promises.
"""

import contextlib
import re
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from confluent_kafka import Producer

from deploy.local.processes import Child

_READY_WITHIN_S = 60.0
_DRAIN_S = 3.0
_ADDRESS = re.compile(rb"^(127\.0\.0\.1:\d+)$", re.MULTILINE)


@dataclass(slots=True, kw_only=True)
class EmbeddedKafka:
    """A broker that lives as long as its process."""

    child: Child

    @classmethod
    @contextlib.asynccontextmanager
    async def start(cls, directory: Path) -> AsyncIterator[Self]:
        """A broker that listens; `directory` keeps only what it says."""
        directory.mkdir(parents=True, exist_ok=True)
        log = directory / "embedded-kafka.log"
        log.unlink(missing_ok=True)
        argv = [sys.executable, "-m", "deploy.local.embedded_kafka"]
        kafka = cls(child=Child.start("embedded kafka", argv, log=log))
        try:
            await kafka.child.ready(kafka._has_said_where, within_s=_READY_WITHIN_S)
            yield kafka
        finally:
            await kafka.stop()

    @property
    def bootstrap(self) -> str:
        said = _ADDRESS.search(self.child.log.read_bytes())
        if said is None:
            raise LookupError("the embedded broker has not said where it listens")
        return said[1].decode()

    async def stop(self) -> None:
        await self.child.stop(drain_s=_DRAIN_S)

    def kill(self) -> None:
        """End it, and with it every record it holds."""
        self.child.kill()

    async def _has_said_where(self) -> bool:
        return _ADDRESS.search(self.child.log.read_bytes()) is not None


def serve() -> None:
    """Run the broker here and say where it listens."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    # The broker lives inside this client; it ends when the client is collected.
    client = Producer({"test.mock.num.brokers": 1, "log_level": 3})
    (broker,) = client.list_topics(timeout=10).brokers.values()
    sys.stdout.write(f"{broker.host}:{broker.port}\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()


if __name__ == "__main__":
    serve()
