"""The workers of one Docker host are containers, each made like the first one of its service."""

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

import docker
from docker.errors import DockerException
from docker.models.containers import Container
from requests.exceptions import RequestException

from shared.domain.errors import Unavailable

log = logging.getLogger(__name__)

_PROJECT: Final = "com.docker.compose.project"
_SERVICE: Final = "com.docker.compose.service"
_NUMBER: Final = "com.docker.compose.container-number"
# What Docker fills in by itself, and what two containers may not share.
_OF_ONE: Final = frozenset({"Hostname", "Domainname", "MacAddress"})


@dataclass(slots=True, kw_only=True)
class ContainerWorkers:
    """A worker inherits image, command, environment, limits and devices of the first one, so that
    it may do what compose lets that one do, and nothing else."""

    docker: docker.DockerClient
    project: str
    service: str
    stop_s: float
    _leaving: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(cls, *, project: str, service: str, stop_s: float) -> AsyncIterator[Self]:
        """Raises Unavailable. Whoever leaves when the block ends, leaves on without us."""
        with _translated():
            client = await asyncio.to_thread(docker.from_env)
        try:
            yield cls(docker=client, project=project, service=service, stop_s=stop_s)
        finally:
            await asyncio.to_thread(client.close)

    async def count(self) -> int:
        return len(await self._staying())

    async def add(self) -> None:
        with _translated():
            await asyncio.to_thread(self._add)

    async def drain(self) -> None:
        newest = max(await self._staying(), key=_number, default=None)
        if newest is None:
            return  # The last one has ended by itself.
        name = str(newest.id)
        self._leaving[name] = asyncio.create_task(self._see_off(newest))
        self._leaving[name].add_done_callback(lambda _: self._leaving.pop(name, None))

    async def _staying(self) -> list[Container]:
        # Taken before Docker is asked: whoever is gone by its answer may still be told as running.
        leaving = frozenset(self._leaving)
        with _translated():
            running = await asyncio.to_thread(self._found, "running")
        return [each for each in running if each.id not in leaving]

    def _found(self, *states: str) -> list[Container]:
        labels = [f"{_PROJECT}={self.project}", f"{_SERVICE}={self.service}"]
        filters: dict[str, str | list[str] | bool] = {"label": labels}
        if states:
            filters["status"] = list(states)
        # One may be removed between being listed and being looked at.
        return self.docker.containers.list(all=True, filters=filters, ignore_removed=True)

    def _add(self) -> None:
        there = self._found()
        if not there:
            raise Unavailable(
                f"no container of {self.project}/{self.service} to make another one like;"
                f" docker compose up {self.service} makes the first"
            )
        taken = {_number(each) for each in there}
        number = next(n for n in range(1, len(taken) + 2) if n not in taken)
        config = _like(min(there, key=_number).attrs, number)
        created = self.docker.api.create_container_from_config(  # type: ignore[no-untyped-call]
            config, f"{self.project}-{self.service}-{number}"
        )
        try:
            self.docker.api.start(created["Id"])
        except (DockerException, RequestException):
            # Or each further try would leave one more behind, under a name of its own.
            self.docker.api.remove_container(created["Id"])
            raise

    async def _see_off(self, worker: Container) -> None:
        try:
            await asyncio.to_thread(worker.stop, timeout=math.ceil(self.stop_s))
            await asyncio.to_thread(worker.remove)
        except (DockerException, RequestException) as error:
            log.warning("worker not let go", extra={"container": worker.name, "why": str(error)})


def _like(first: Mapping[str, Mapping[str, object]], number: int) -> dict[str, object]:
    config = {name: value for name, value in first["Config"].items() if name not in _OF_ONE}
    labels, networks = config.get("Labels"), first["NetworkSettings"]["Networks"]
    return {
        **config,
        "Labels": {**_mapping(labels), _NUMBER: str(number)},
        "HostConfig": first["HostConfig"],
        "NetworkingConfig": {"EndpointsConfig": {name: {} for name in _mapping(networks)}},
    }


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _number(container: Container) -> int:
    told = str(container.labels.get(_NUMBER, ""))
    return int(told) if told.isdecimal() else 0


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (DockerException, RequestException) as error:
        said = " ".join(str(error).split())
        raise Unavailable(
            f"Docker does not do it ({said}); is it running, and may this user ask it?"
            " DOCKER_HOST names another"
        ) from error
