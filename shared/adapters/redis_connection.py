"""Redis is reached in one way, and every failure of it has one name: Unavailable."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.domain.errors import Unavailable

_LUA = Path(__file__).parent / "lua"

# Redis answers, but will not do it now: a restart, a failover, full memory or disk.
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

Arguments = Sequence[str | bytes | int | float]
Call = tuple[str, Sequence[str], Arguments]


def connect_redis(url: str, timeout_s: float = 1.0) -> Redis:
    """Nothing connects before the first command; a command is repeated once on a new connection.

    Whatever is sent through this client must therefore bear a repetition.
    """
    return Redis.from_url(
        url,
        protocol=2,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        socket_keepalive=True,
        health_check_interval=0,
        retry=Retry(ExponentialWithJitterBackoff(base=0.01, cap=0.1), 1),
    )


@contextmanager
def translated() -> Iterator[None]:
    """Redis errors of the kind that pass become Unavailable; the rest are our own mistakes."""
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError) as error:
        raise Unavailable(f"Redis cannot be reached: {error}") from error
    except ResponseError as error:
        raise as_unavailable(error) from error


def as_unavailable(error: RedisError) -> Exception:
    if any(word in str(error) for word in _NOT_NOW):
        return Unavailable(f"Redis does not accept this now: {error}")
    return error


class Scripts:
    """Lua scripts by file name; a batch of calls is one round trip.

    Calls go by digest, and the source is sent only when Redis does not know one: redis-py's own
    scripts in a pipeline would ask before every batch, which costs a second round trip.
    """

    def __init__(self, redis: Redis, names: Sequence[str], guard: str = "") -> None:
        self._redis = redis
        self._scripts = {name: redis.register_script(guard + source_of(name)) for name in names}

    async def call(self, name: str, keys: Sequence[str], arguments: Arguments) -> object:
        """Raises what the script answered as an error."""
        (answer,) = await self.call_all([(name, keys, arguments)])
        if isinstance(answer, RedisError):
            raise as_unavailable(answer)
        return answer

    async def call_all(self, calls: Sequence[Call]) -> list[object]:
        """One answer per call; an error is an answer too, because the others have happened."""
        with translated():
            answers = await self._send(calls)
            unknown = [i for i, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            if unknown:
                await self._teach()
                again = await self._send([calls[i] for i in unknown])
                for i, answer in zip(unknown, again, strict=True):
                    answers[i] = answer
        return answers

    async def _send(self, calls: Sequence[Call]) -> list[object]:
        pipe = self._redis.pipeline(transaction=False)
        for name, keys, arguments in calls:
            pipe.execute_command("EVALSHA", self._scripts[name].sha, len(keys), *keys, *arguments)
        return list(await pipe.execute(raise_on_error=False))

    async def _teach(self) -> None:
        for script in self._scripts.values():
            await self._redis.script_load(script.script)


def source_of(name: str) -> str:
    return (_LUA / f"{name}.lua").read_text(encoding="utf-8")
