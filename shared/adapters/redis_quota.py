"""All ingresses together grant a tenant no more than its quota."""

from typing import Final, cast

from shared.adapters.quota_buckets import need_of, quota_answer
from shared.adapters.redis_connection import BoundedRedis, Scripts
from shared.domain.admission import QuotaAnswer

_ACTS: Final = ("refund", "take")


class RedisQuota:
    """Reserved on prediction, settled on usage.

    A repetition after a lost answer counts twice; the bucket has forgotten it a minute later.
    """

    def __init__(self, redis: BoundedRedis) -> None:
        self._scripts = Scripts(redis, _ACTS)

    async def take(
        self, tenant: str, requests_per_min: int, tokens_per_min: int, tokens: int
    ) -> QuotaAnswer:
        need = need_of(tokens, tokens_per_min)
        arguments = (requests_per_min, tokens_per_min, tokens, need)
        answer = await self._scripts.call("take", [_key(tenant)], arguments)
        allowed, requests_left, tokens_left = cast(tuple[int, bytes, bytes], answer)
        return quota_answer(
            allowed=bool(allowed),
            requests_per_min=requests_per_min,
            requests=float(requests_left),
            tokens_per_min=tokens_per_min,
            tokens=float(tokens_left),
            needed_tokens=need,
        )

    async def settle(self, tenant: str, reserved_tokens: int, used_tokens: int) -> None:
        await self._scripts.call("refund", [_key(tenant)], [reserved_tokens - used_tokens])


def _key(tenant: str) -> str:
    return f"{{cato:quota:{tenant}}}"
