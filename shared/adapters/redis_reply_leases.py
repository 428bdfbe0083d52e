"""An ingress is addressed by the reply partition it leases, and by which life of it does so."""

from collections.abc import Mapping
from typing import Final, cast

from shared.adapters.redis_connection import BoundedRedis, Scripts, translated
from shared.domain.errors import Unavailable

_ACTS: Final = ("elect", "lease", "resign")


class RedisReplyLeases:
    def __init__(self, redis: BoundedRedis, partitions: int, ttl_s: float = 10) -> None:
        self._redis = redis
        self._keys = [f"{{cato:replies}}:{partition}" for partition in range(partitions)]
        self._ttl_ms = round(ttl_s * 1000)
        self._scripts = Scripts(redis, _ACTS)

    async def acquire(self, incarnation: str) -> int:
        """The lowest free partition; raises Unavailable when other ingresses have them all."""
        arguments = (incarnation, self._ttl_ms)
        partition = cast(int, await self._scripts.call("lease", self._keys, arguments))
        if partition < 0:
            raise Unavailable(f"all {len(self._keys)} reply partitions are leased to an ingress")
        return partition

    async def renew(self, partition: int, incarnation: str) -> bool:
        """Also takes back a lease that ran out, as long as nobody else has it."""
        arguments = (incarnation, self._ttl_ms)
        return bool(await self._scripts.call("elect", [self._keys[partition]], arguments))

    async def release(self, partition: int, incarnation: str) -> None:
        await self._scripts.call("resign", [self._keys[partition]], [incarnation])

    async def live(self) -> Mapping[int, str]:
        """Partition -> incarnation of who leases it now."""
        with translated():
            holders = cast(list[bytes | None], await self._redis.mget(self._keys))
        return {i: holder.decode() for i, holder in enumerate(holders) if holder is not None}
