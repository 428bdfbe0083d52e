"""A tenant's minute is a bucket that fills while it is quiet and empties while it asks."""

from shared.domain.admission import QuotaAnswer

_MINUTE_S = 60.0

# What a tenant without any allowance is told to wait.
_A_DAY_S = 86_400.0


def need_of(tokens: int, tokens_per_min: int) -> int:
    """Who asks for more than a full bucket passes when it is full, and then owes the rest."""
    return min(tokens, tokens_per_min)


def refilled(level: float, elapsed_s: float, per_min: int) -> float:
    return min(float(per_min), level + elapsed_s * per_min / _MINUTE_S)


def quota_answer(
    *,
    allowed: bool,
    requests_per_min: int,
    requests: float,
    tokens_per_min: int,
    tokens: float,
    needed_tokens: int,
) -> QuotaAnswer:
    """From the levels after the request was taken, or as they were when it was not."""
    wait_s = max(
        _until_s(1, requests, requests_per_min),
        _until_s(needed_tokens, tokens, tokens_per_min),
    )
    return QuotaAnswer(
        allowed=allowed,
        limit_requests=requests_per_min,
        remaining_requests=max(0, int(requests)),
        reset_requests_s=_until_s(requests_per_min, requests, requests_per_min),
        limit_tokens=tokens_per_min,
        remaining_tokens=max(0, int(tokens)),
        reset_tokens_s=_until_s(tokens_per_min, tokens, tokens_per_min),
        retry_after_s=0.0 if allowed else wait_s,
    )


def _until_s(level: float, now: float, per_min: int) -> float:
    if now >= level:
        return 0.0
    return _MINUTE_S * (level - now) / per_min if per_min > 0 else _A_DAY_S
