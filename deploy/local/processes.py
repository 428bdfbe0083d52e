"""The house on a laptop is a handful of processes that start in order and end in reverse."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Self, TypeAlias

import aiohttp

from deploy.local.errors import ChildDied, NotReady

Probe: TypeAlias = Callable[[], Awaitable[bool]]

_LEASH = Path(__file__).with_name("leash.py")
_LOOK_EVERY_S = 0.02
_LINES_SHOWN = 15
_LOG_TAIL_BYTES = 8192


def answers(
    url: str, body: Mapping[str, object] | None = None, headers: Mapping[str, str] | None = None
) -> Probe:
    """Is there a 200 at `url` now? A body is posted, and then anything but 429 and 5xx will do."""

    async def probe() -> bool:
        limit = aiohttp.ClientTimeout(total=10)
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with (
                aiohttp.ClientSession(timeout=limit, headers=headers) as http,
                http.request("GET" if body is None else "POST", url, json=body) as answer,
            ):
                return answer.status == HTTPStatus.OK or (
                    body is not None and answer.status < HTTPStatus.TOO_MANY_REQUESTS
                )
        return False

    return probe


@dataclass(slots=True, kw_only=True)
class Child:
    """One process, writing to one log file, tied to the life of this one.

    It is asked and waited for by polling, so that whichever event loop runs may do so.
    """

    name: str
    log: Path
    _popen: subprocess.Popen[bytes]
    # Earlier runs wrote to the same file; what they said must not be taken for ours.
    _log_from: int = 0

    @classmethod
    def start(
        cls,
        name: str,
        argv: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Self:
        """Start `argv`; `env` comes on top of this process's own environment.

        Call from the main thread: the kernel takes the end of the starting thread for ours.
        """
        leashed = [sys.executable, "-I", "-S", str(_LEASH), str(os.getpid()), *argv]
        with log.open("ab") as sink:
            log_from = sink.tell()
            popen = subprocess.Popen(
                leashed,
                # Never written: it reads as closed once this process is gone.
                stdin=subprocess.PIPE,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                # Ctrl-C must reach the house once and in order, not every process at once.
                start_new_session=True,
            )
        return cls(name=name, log=log, _popen=popen, _log_from=log_from)

    @property
    def pid(self) -> int:
        return self._popen.pid

    def is_running(self) -> bool:
        return self._popen.poll() is None

    async def ready(self, probe: Probe, *, within_s: float) -> None:
        """Return when `probe` says yes; ChildDied or NotReady carry what the process said last."""
        loop = asyncio.get_running_loop()
        limit_at = loop.time() + within_s
        while not await probe():
            if not self.is_running():
                raise self.death()
            if loop.time() >= limit_at:
                raise NotReady(self.name, within_s, self.last_lines(), self.log)
            await asyncio.sleep(_LOOK_EVERY_S)

    async def ended(self) -> int:
        """Wait for the end, whoever brings it about; the status as the shell would tell it."""
        # No event tells of it without tying the process to one loop.
        while (status := self._popen.poll()) is None:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_EVERY_S)
        return status

    def must_have_succeeded(self, status: int) -> None:
        if status:
            raise self.death()

    def death(self) -> ChildDied:
        """How it ended and what it said last, once it has ended."""
        return ChildDied(self.name, self._popen.returncode, self.last_lines(), self.log)

    async def stop(self, *, drain_s: float) -> None:
        """Ask it to end; after `drain_s` make it end. Safe to repeat."""
        if self.is_running():
            self._popen.terminate()
        try:
            async with asyncio.timeout(drain_s):
                await self.ended()
        except TimeoutError:
            pass
        finally:
            self.kill()

    def kill(self) -> None:
        """End it, and whatever it started itself, at once. Safe to repeat."""
        # Once it has been waited for, its number may be the name of somebody else's process.
        if self.is_running():
            os.killpg(self.pid, signal.SIGKILL)
            self._popen.wait()
        if self._popen.stdin is not None:
            self._popen.stdin.close()

    def last_lines(self) -> tuple[str, ...]:
        with self.log.open("rb") as log:
            log.seek(max(self._log_from, self.log.stat().st_size - _LOG_TAIL_BYTES))
            tail = log.read().decode(errors="replace")
        return tuple(tail.splitlines()[-_LINES_SHOWN:])


async def first_to_end(children: Sequence[Child]) -> Child:
    """Wait until any of them has ended: a house with a dead part is not a house."""
    while True:
        for child in children:
            if not child.is_running():
                return child
        await asyncio.sleep(_LOOK_EVERY_S)


@dataclass(slots=True, kw_only=True)
class Household:
    """The processes of one house, in the order in which they were started."""

    logs: Path
    drain_s: float
    children: list[Child] = field(default_factory=list)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, logs: Path, *, drain_s: float) -> AsyncIterator[Self]:
        """A house that leaves no process behind, however the block is left."""
        logs.mkdir(parents=True, exist_ok=True)
        house = cls(logs=logs, drain_s=drain_s)
        try:
            yield house
        finally:
            await house.stop()

    async def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        probe: Probe,
        within_s: float,
    ) -> Child:
        """Start one process and return once it is ready."""
        child = self.launch(name, argv, env=env)
        await child.ready(probe, within_s=within_s)
        return child

    def launch(self, name: str, argv: Sequence[str], *, env: Mapping[str, str]) -> Child:
        """Start one process without waiting, so that several can become ready side by side."""
        child = Child.start(name, argv, log=self.logs / f"{name}.log", env=env)
        self.children.append(child)
        return child

    async def stop(self) -> None:
        """End all, the last started first; none is left even if this is interrupted."""
        try:
            for child in reversed(self.children):
                await child.stop(drain_s=self.drain_s)
        finally:
            for child in self.children:
                child.kill()
