"""Hypothesis judges what holds, not how long it took: a busy machine breaks no promise."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("cato", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("cato")


@pytest.fixture
def ctrl_c_is_heard() -> Iterator[None]:
    """By whatever this test starts, though a shell in the background has its children ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
