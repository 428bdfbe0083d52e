"""A client that repeats itself means one task."""

import hashlib
import json
from typing import Final, cast

from shared.adapters.redis_connection import BoundedRedis, Scripts, translated
from shared.domain.admission import IdempotencyAnswer
from shared.domain.task import TaskId

_ACTS: Final = ("remember",)


class RedisIdempotency:
    def __init__(self, redis: BoundedRedis) -> None:
        self._redis = redis
        self._scripts = Scripts(redis, _ACTS)

    async def claim(
        self, tenant: str, key: str, body_digest: str, task_id: TaskId, ttl_s: float
    ) -> IdempotencyAnswer:
        """The first body with this key gives it its task; `task_id` must be a new one."""
        arguments = (f"{body_digest} {task_id}", max(1, round(ttl_s)))
        answer = await self._scripts.call("remember", [_key(tenant, key)], arguments)
        first_digest, first_id = cast(bytes, answer).decode().split(" ", 1)
        return IdempotencyAnswer(
            task_id=TaskId(first_id),
            is_new=first_id == task_id,
            is_conflict=first_digest != body_digest,
        )

    async def release(self, tenant: str, key: str) -> None:
        """The task was never accepted: the key is free for another try."""
        with translated():
            await self._redis.delete(_key(tenant, key))


def _key(tenant: str, key: str) -> str:
    """Of one length, whatever a client calls its request."""
    name = json.dumps([tenant, key]).encode()
    return f"{{cato:idempotency}}:{hashlib.sha256(name).hexdigest()}"
