"""Unit, contract and story tests live in a world without network, where time costs nothing."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.quiet import forbid_sockets_and_waiting
from tests.virtual_time import VirtualTimeLoop

_QUIET_SUITES = frozenset({"unit", "contract", "stories"})


def _is_quiet(test: Path) -> bool:
    return test.relative_to(Path(__file__).parent).parts[0] in _QUIET_SUITES


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    if _is_quiet(item.path):
        return {"virtual time": VirtualTimeLoop}
    return {"real time": asyncio.SelectorEventLoop}


@pytest.fixture(autouse=True)
def _quiet_suites_touch_nothing(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if _is_quiet(request.path):
        forbid_sockets_and_waiting(monkeypatch)
