"""What happened to a task can be read by whoever asks later, at any ingress, from any point on."""

from collections.abc import AsyncIterator, Sequence
from typing import Final, cast

from shared.adapters.event_ids import checked_event_id
from shared.adapters.redis_connection import BoundedRedis, Scripts, translated

_ACTS: Final = ("append", "close", "describe")

# A wait must end before the connection's own limit does; it is taken up again at once.
_WAIT_MS = 500
_CHUNK = 64

# A task may lie in its queue for long; only one that nobody ever closes is forgotten by this.
_OPEN_TTL_S = 86_400

_EVENT, _END = b"event", b"end"

_Events = Sequence[tuple[bytes, dict[bytes, bytes]]]


class RedisEventLog:
    """One stream per task. `byte_cap` bounds what a task can say, apart from its last word.

    Every reader that waits holds a connection: `followers` may bring them a pool of their own.
    """

    def __init__(
        self,
        redis: BoundedRedis,
        ttl_s: float,
        byte_cap: int,
        *,
        followers: BoundedRedis | None = None,
    ) -> None:
        self._redis = redis
        self._followers = followers or redis
        self._ttl_s = max(1, round(ttl_s))
        self._byte_cap = byte_cap
        self._scripts = Scripts(redis, _ACTS)

    async def open(self, task_id: str, tenant: str, facts: str) -> None:
        """Once more only replaces the facts."""
        arguments = (tenant, facts.encode(), max(self._ttl_s, _OPEN_TTL_S))
        await self._scripts.call("describe", [_facts_key(task_id)], arguments)

    async def append(self, task_id: str, event: str, number: int) -> bool:
        """False when the log does not take it: over its cap, closed, or never opened.

        Numbers grow; an event with the number of an earlier one is a repetition.
        """
        arguments = (event.encode(), self._byte_cap, number)
        return bool(await self._scripts.call("append", _keys(task_id), arguments))

    async def close(self, task_id: str, last: str = "") -> None:
        """Ends it for every reader, after a last event if there is one."""
        await self._scripts.call("close", _keys(task_id), (last.encode(), self._ttl_s))

    async def tenant_of(self, task_id: str) -> str | None:
        return await self._fact(task_id, "tenant")

    async def facts(self, task_id: str) -> str | None:
        return await self._fact(task_id, "facts")

    async def read(self, task_id: str, after: str | None) -> AsyncIterator[tuple[str, str]]:
        """Id and event, from the one after `after`, until the log is closed or forgotten."""
        position, is_over = checked_event_id(after), False
        while True:
            events = await self._events(task_id, position, None if is_over else _WAIT_MS)
            for event_id, fields in events:
                if _END in fields:
                    return
                position = event_id.decode()
                yield position, fields[_EVENT].decode()
            if not events:
                if is_over:
                    return
                # Not the end yet: what came between the wait and this question is read once more.
                is_over = await self._is_over(task_id)

    async def _events(self, task_id: str, position: str, wait_ms: int | None) -> _Events:
        streams: dict[str | bytes | memoryview, str | int | bytes | memoryview]
        streams = {_events_key(task_id): position}
        with translated():
            answer = await self._followers.xread(streams, count=_CHUNK, block=wait_ms)
        return cast(list[tuple[bytes, _Events]], answer)[0][1] if answer else ()

    async def _is_over(self, task_id: str) -> bool:
        with translated():
            tenant, closed = await self._redis.hmget(_facts_key(task_id), "tenant", "closed")
        return tenant is None or closed is not None

    async def _fact(self, task_id: str, name: str) -> str | None:
        with translated():
            fact = await self._redis.hget(_facts_key(task_id), name)
        return None if fact is None else cast(bytes, fact).decode()


def _facts_key(task_id: str) -> str:
    return f"{{cato:task:{task_id}}}:facts"


def _events_key(task_id: str) -> str:
    return f"{{cato:task:{task_id}}}:events"


def _keys(task_id: str) -> tuple[str, str]:
    return _facts_key(task_id), _events_key(task_id)
