"""What the house remembers about a client decides whether it takes one more request from it."""

from dataclasses import dataclass

from shared.domain.task import TaskId


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaAnswer:
    """Where a tenant stands; `reset` is when its bucket is full again."""

    allowed: bool
    limit_requests: int
    remaining_requests: int
    reset_requests_s: float
    limit_tokens: int
    remaining_tokens: int
    reset_tokens_s: float
    retry_after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyAnswer:
    """Which task the key stands for; a conflict is the same key with another body."""

    task_id: TaskId
    is_new: bool
    is_conflict: bool
