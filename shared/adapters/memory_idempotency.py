"""Repeated requests recognised within one process."""

from shared.domain.admission import IdempotencyAnswer
from shared.domain.clock import Clock
from shared.domain.task import TaskId


class MemoryIdempotency:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._claims: dict[tuple[str, str], tuple[str, TaskId, float]] = {}

    async def claim(
        self, tenant: str, key: str, body_digest: str, task_id: TaskId, ttl_s: float
    ) -> IdempotencyAnswer:
        now = self._clock.now()
        first = self._claims.get((tenant, key))
        if first is None or first[2] <= now:
            first = self._claims[tenant, key] = (body_digest, task_id, now + ttl_s)
        first_digest, first_id, _ = first
        return IdempotencyAnswer(
            task_id=first_id,
            is_new=first_id == task_id,
            is_conflict=first_digest != body_digest,
        )

    async def release(self, tenant: str, key: str) -> None:
        self._claims.pop((tenant, key), None)
