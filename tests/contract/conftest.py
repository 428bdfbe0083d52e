"""The contract suites begin with the adapters that need no network."""

import pytest

from shared.adapters.memory_queue import MemoryStore
from shared.scheduling.queue import DeadlineQueue
from tests.contract.deadline_queues import InMemory, Store


@pytest.fixture
def store() -> Store:
    return InMemory(MemoryStore())


@pytest.fixture
async def queue(store: Store) -> DeadlineQueue:
    queue = store.queue()
    await queue.open(1)
    return queue
