"""This suite touches no network and is told in virtual time."""

from tests.quiet import no_network_and_no_waiting
from tests.virtual_time import pytest_asyncio_loop_factories

__all__ = ["no_network_and_no_waiting", "pytest_asyncio_loop_factories"]
