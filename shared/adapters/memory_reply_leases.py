"""Reply partitions leased among ingresses that live in one process."""

from collections.abc import Mapping

from shared.domain.clock import Clock
from shared.domain.errors import Unavailable


class MemoryReplyLeases:
    def __init__(self, clock: Clock, partitions: int, ttl_s: float = 10) -> None:
        self._clock = clock
        self._partitions = partitions
        self._ttl_s = ttl_s
        self._leases: dict[int, tuple[str, float]] = {}

    async def acquire(self, incarnation: str) -> int:
        live = await self.live()
        held = (partition for partition, holder in live.items() if holder == incarnation)
        free = (partition for partition in range(self._partitions) if partition not in live)
        partition = next(held, next(free, None))
        if partition is None:
            raise Unavailable(f"all {self._partitions} reply partitions are leased to an ingress")
        self._lease(partition, incarnation)
        return partition

    async def renew(self, partition: int, incarnation: str) -> bool:
        if (await self.live()).get(partition, incarnation) != incarnation:
            return False
        self._lease(partition, incarnation)
        return True

    async def release(self, partition: int, incarnation: str) -> None:
        if (await self.live()).get(partition) == incarnation:
            del self._leases[partition]

    async def live(self) -> Mapping[int, str]:
        now = self._clock.now()
        return {i: holder for i, (holder, until) in self._leases.items() if until > now}

    def _lease(self, partition: int, incarnation: str) -> None:
        self._leases[partition] = (incarnation, self._clock.now() + self._ttl_s)
