"""What the ingress needs of the world, each as small as its use."""

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from shared.domain.admission import IdempotencyAnswer, QuotaAnswer
from shared.domain.task import TaskId


class ReplyLeases(Protocol):
    """Which ingress reads which reply partition; every method may raise Unavailable."""

    async def acquire(self, incarnation: str) -> int: ...

    async def renew(self, partition: int, incarnation: str) -> bool: ...

    async def release(self, partition: int, incarnation: str) -> None: ...

    async def live(self) -> Mapping[int, str]: ...


class EventLog(Protocol):
    """What happened to a task, readable from any ingress; every method may raise Unavailable."""

    async def open(self, task_id: str, tenant: str, facts: str) -> None: ...

    async def append(self, task_id: str, event: str, number: int) -> bool: ...

    async def close(self, task_id: str, last: str = "") -> None: ...

    async def tenant_of(self, task_id: str) -> str | None: ...

    async def facts(self, task_id: str) -> str | None: ...

    def read(self, task_id: str, after: str | None) -> AsyncIterator[tuple[str, str]]: ...


class Quota(Protocol):
    """All ingresses together grant a tenant no more than this; may raise Unavailable."""

    async def take(
        self, tenant: str, requests_per_min: int, tokens_per_min: int, tokens: int
    ) -> QuotaAnswer: ...

    async def settle(self, tenant: str, reserved_tokens: int, used_tokens: int) -> None: ...


class Idempotency(Protocol):
    """Which task a client's key stands for; may raise Unavailable."""

    async def claim(
        self, tenant: str, key: str, body_digest: str, task_id: TaskId, ttl_s: float
    ) -> IdempotencyAnswer: ...

    async def release(self, tenant: str, key: str) -> None: ...
