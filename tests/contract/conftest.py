"""The contract suites begin with the adapters that need no network."""

from collections.abc import Callable

import pytest

from shared.adapters.clock import LoopClock
from shared.adapters.memory_bus import MemoryBus
from shared.adapters.memory_event_log import MemoryEventLog
from shared.adapters.memory_idempotency import MemoryIdempotency
from shared.adapters.memory_queue import MemoryStore
from shared.adapters.memory_quota import MemoryQuota
from shared.adapters.memory_reply_leases import MemoryReplyLeases
from shared.messages.bus import Bus
from shared.scheduling.queue import DeadlineQueue
from tests.contract.deadline_queues import InMemory, Store
from tests.quiet import no_network_and_no_waiting
from tests.virtual_time import pytest_asyncio_loop_factories

__all__ = ["no_network_and_no_waiting", "pytest_asyncio_loop_factories"]


@pytest.fixture
def store() -> Store:
    return InMemory(MemoryStore())


@pytest.fixture
async def queue(store: Store) -> DeadlineQueue:
    queue = store.queue()
    await queue.open(1)
    return queue


@pytest.fixture
async def bus() -> Bus:
    return MemoryBus()


@pytest.fixture
def lease_store() -> Callable[..., MemoryReplyLeases]:
    return lambda *, partitions=4, ttl_s=10.0: MemoryReplyLeases(LoopClock(), partitions, ttl_s)


@pytest.fixture
def event_log() -> MemoryEventLog:
    return MemoryEventLog(LoopClock(), ttl_s=60, byte_cap=100)


@pytest.fixture
def short_log() -> MemoryEventLog:
    return MemoryEventLog(LoopClock(), ttl_s=1, byte_cap=100)


@pytest.fixture
def quota() -> MemoryQuota:
    return MemoryQuota(LoopClock())


@pytest.fixture
def idempotency() -> MemoryIdempotency:
    return MemoryIdempotency(LoopClock())
