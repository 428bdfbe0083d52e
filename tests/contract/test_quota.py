"""What every quota promises a tenant, and the house."""

import asyncio

import pytest

from shared.adapters.memory_quota import MemoryQuota
from shared.adapters.redis_quota import RedisQuota

Quota = MemoryQuota | RedisQuota


async def test_a_quiet_tenant_has_a_whole_minute(quota: Quota) -> None:
    answer = await quota.take("a", 10, 1000, 100)

    assert answer.allowed
    assert (answer.limit_requests, answer.remaining_requests) == (10, 9)
    assert (answer.limit_tokens, answer.remaining_tokens) == (1000, 900)
    assert answer.reset_requests_s == pytest.approx(6)
    assert answer.reset_tokens_s == pytest.approx(6)
    assert answer.retry_after_s == 0


async def test_requests_run_out(quota: Quota) -> None:
    answers = [await quota.take("a", 2, 1000, 1) for _ in range(3)]

    assert [answer.allowed for answer in answers] == [True, True, False]
    assert answers[2].remaining_requests == 0
    assert answers[2].retry_after_s == pytest.approx(30, abs=2)


async def test_tokens_run_out(quota: Quota) -> None:
    first = await quota.take("a", 100, 1000, 800)
    second = await quota.take("a", 100, 1000, 500)

    assert (first.allowed, second.allowed) == (True, False)
    assert second.remaining_tokens == pytest.approx(200, abs=40)
    assert second.retry_after_s == pytest.approx(18, abs=2)


async def test_a_refused_request_costs_nothing(quota: Quota) -> None:
    await quota.take("a", 100, 1000, 800)
    refused = await quota.take("a", 100, 1000, 500)

    allowed = await quota.take("a", 100, 1000, 100)

    assert not refused.allowed
    assert allowed.allowed
    assert allowed.remaining_requests >= 98


async def test_tenants_do_not_share(quota: Quota) -> None:
    await quota.take("a", 1, 1000, 1)

    assert not (await quota.take("a", 1, 1000, 1)).allowed
    assert (await quota.take("b", 1, 1000, 1)).allowed


async def test_who_waits_as_told_is_served(quota: Quota) -> None:
    await quota.take("a", 100, 60_000, 60_000)
    refused = await quota.take("a", 100, 60_000, 1000)

    await asyncio.sleep(refused.retry_after_s + 0.01)

    assert refused.retry_after_s > 0
    assert (await quota.take("a", 100, 60_000, 1000)).allowed


async def test_what_was_not_used_is_given_back(quota: Quota) -> None:
    await quota.take("a", 100, 1000, 1000)

    await quota.settle("a", reserved_tokens=1000, used_tokens=200)

    assert (await quota.take("a", 100, 1000, 700)).allowed


async def test_what_was_used_beyond_is_owed(quota: Quota) -> None:
    await quota.take("a", 100, 1000, 100)

    await quota.settle("a", reserved_tokens=100, used_tokens=1500)

    answer = await quota.take("a", 100, 1000, 100)
    assert not answer.allowed
    assert answer.remaining_tokens == 0
    assert answer.retry_after_s == pytest.approx(36, abs=2)


async def test_giving_back_never_overfills_a_bucket(quota: Quota) -> None:
    await quota.take("a", 100, 1000, 10)

    await quota.settle("a", reserved_tokens=100_000, used_tokens=0)

    assert (await quota.take("a", 100, 1000, 1)).remaining_tokens == 999


async def test_a_request_larger_than_a_minute_passes_when_the_bucket_is_full(
    quota: Quota,
) -> None:
    answer = await quota.take("a", 100, 1000, 3000)

    assert answer.allowed
    assert answer.remaining_tokens == 0
    assert answer.reset_tokens_s == pytest.approx(180)
    assert not (await quota.take("a", 100, 1000, 1)).allowed


async def test_settling_for_a_tenant_that_was_forgotten_changes_nothing(quota: Quota) -> None:
    await quota.settle("a", reserved_tokens=0, used_tokens=5000)

    assert (await quota.take("a", 100, 1000, 1000)).allowed


async def test_a_tenant_without_allowance_is_told_to_come_back_another_day(quota: Quota) -> None:
    answer = await quota.take("a", 0, 1000, 1)

    assert not answer.allowed
    assert answer.retry_after_s == 86_400
