"""Redis is reached in one way, and every failure of it has one name: Unavailable."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from hiredis import pack_command
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.domain.errors import Unavailable

_LUA = Path(__file__).parent / "lua"

# Redis answers, but will not do it now: a restart, a failover, full memory or disk. The client
# takes the first word away from some of these and makes a class of it, which depends on versions.
_NOT_NOW_CLASSES = (
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
_NOT_NOW = (
    "BUSY ",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "NOREPLICAS",
    "OOM ",
    "READONLY",
    "TRYAGAIN",
)

# As many clients as Redis takes by default. Whoever follows a task waits on a connection of its
# own, and the client's default would refuse the 101st of them.
_MOST_CONNECTIONS = 10_000

_BATCH_CALLS = 500
_BATCH_BYTES = 4 * 1024 * 1024

Arguments = Sequence[str | bytes | int | float]
Call = tuple[str, Sequence[str], Arguments]


class BoundedRedis(Redis):
    """Each command has one limit, waits and repetitions included.

    The limit is not the socket's: that one costs a task of the event loop for every write.
    """

    limit_s = 1.0

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        async with asyncio.timeout(self.limit_s):
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]


def connect_redis(url: str, limit_s: float = 1.0) -> BoundedRedis:
    """Nothing connects before the first command; a command is repeated once on a new connection.

    Whatever is sent through this client must therefore bear a repetition.
    """
    redis = cast(
        BoundedRedis,
        BoundedRedis.from_url(
            url,
            protocol=2,
            socket_timeout=None,
            socket_connect_timeout=limit_s,
            socket_keepalive=True,
            max_connections=_MOST_CONNECTIONS,
            retry=Retry(ConstantBackoff(0.01), 1),
        ),
    )
    redis.limit_s = limit_s
    return redis


@contextmanager
def translated() -> Iterator[None]:
    """Redis errors of the kind that pass become Unavailable; the rest are our own mistakes."""
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError) as error:
        raise Unavailable(f"Redis cannot be reached: {error}") from error
    except TimeoutError as error:
        raise Unavailable("Redis cannot be reached: it did not answer in time") from error
    except ResponseError as error:
        raise as_unavailable(error) from error


def as_unavailable(error: RedisError) -> Exception:
    said = str(error)
    if isinstance(error, _NOT_NOW_CLASSES) or any(word in said for word in _NOT_NOW):
        return Unavailable(f"Redis does not accept this now: {error}")
    return error


class Scripts:
    """Lua scripts by file name; a batch of calls is one round trip, unless it is a huge one.

    Calls go by digest, and the source is sent only when Redis does not know one. They bypass
    redis-py's pipeline, which asks for that before every batch and costs more than Redis itself.
    """

    def __init__(self, redis: BoundedRedis, names: Sequence[str], guard: str = "") -> None:
        self._redis = redis
        self._scripts = {name: redis.register_script(guard + source_of(name)) for name in names}

    async def call(self, name: str, keys: Sequence[str], arguments: Arguments) -> object:
        """Raises what the script answered as an error."""
        (answer,) = await self.call_all([(name, keys, arguments)])
        if isinstance(answer, RedisError):
            raise as_unavailable(answer)
        return answer

    async def call_all(self, calls: Iterable[Call]) -> list[object]:
        """One answer per call; an error is an answer too, because the others have happened."""
        answers: list[object] = []
        for batch in _batches(self._packed(*call) for call in calls):
            with translated():
                async with asyncio.timeout(self._redis.limit_s):
                    answers += await self._answers(batch)
        return answers

    async def _answers(self, batch: Sequence[bytes]) -> Sequence[object]:
        answers = await self._send(batch)
        unknown = [i for i, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:
            await self._teach()
            again = await self._send([batch[i] for i in unknown])
            for i, answer in zip(unknown, again, strict=True):
                answers[i] = answer
        return answers

    async def _send(self, batch: Sequence[bytes]) -> list[object]:
        try:
            return await self._exchange(batch)
        except RedisConnectionError:
            return await self._exchange(batch)

    def _packed(self, name: str, keys: Sequence[str], arguments: Arguments) -> bytes:
        command = ("EVALSHA", self._scripts[name].sha, len(keys), *keys, *arguments)
        return cast(bytes, pack_command(command))  # type: ignore[arg-type]  # takes any length

    async def _exchange(self, batch: Sequence[bytes]) -> list[object]:
        pool = self._redis.connection_pool
        connection = await pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.send_packed_command(batch)
            return [await _answer(connection) for _ in batch]
        finally:
            await pool.release(connection)

    async def _teach(self) -> None:
        for script in self._scripts.values():
            await self._redis.script_load(script.script)


def _batches(packed: Iterable[bytes]) -> Iterator[Sequence[bytes]]:
    """As much at a time as Redis takes in without making others wait."""
    batch: list[bytes] = []
    held_bytes = 0
    for command in packed:
        batch.append(command)
        held_bytes += len(command)
        if len(batch) >= _BATCH_CALLS or held_bytes >= _BATCH_BYTES:
            yield batch
            batch, held_bytes = [], 0
    if batch:
        yield batch


async def _answer(connection: AbstractConnection) -> object:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


def source_of(name: str) -> str:
    return (_LUA / f"{name}.lua").read_text(encoding="utf-8")
