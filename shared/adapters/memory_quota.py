"""Quota within one process, in any time it brings."""

from shared.adapters.quota_buckets import need_of, quota_answer, refilled
from shared.domain.admission import QuotaAnswer
from shared.domain.clock import Clock


class MemoryQuota:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._levels: dict[str, tuple[float, float, float]] = {}

    async def take(
        self, tenant: str, requests_per_min: int, tokens_per_min: int, tokens: int
    ) -> QuotaAnswer:
        now, need = self._clock.now(), need_of(tokens, tokens_per_min)
        full = (float(requests_per_min), float(tokens_per_min), now)
        requests_left, tokens_left, at = self._levels.get(tenant, full)
        requests_left = refilled(requests_left, now - at, requests_per_min)
        tokens_left = refilled(tokens_left, now - at, tokens_per_min)
        allowed = requests_left >= 1 and tokens_left >= need
        if allowed:
            requests_left, tokens_left = requests_left - 1, tokens_left - tokens
        self._levels[tenant] = (requests_left, tokens_left, now)
        return quota_answer(
            allowed=allowed,
            requests_per_min=requests_per_min,
            requests=requests_left,
            tokens_per_min=tokens_per_min,
            tokens=tokens_left,
            needed_tokens=need,
        )

    async def settle(self, tenant: str, reserved_tokens: int, used_tokens: int) -> None:
        if tenant in self._levels:
            requests_left, tokens_left, at = self._levels[tenant]
            self._levels[tenant] = (requests_left, tokens_left + reserved_tokens - used_tokens, at)
