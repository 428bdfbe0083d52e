"""Suites that prove decisions need neither network nor waiting, and would only get slow by them."""

import socket
import time
from typing import NoReturn

import pytest


class TouchedTheWorld(AssertionError):
    """A quiet test did what only the integration and e2e suites may do."""


@pytest.fixture(autouse=True)
def no_network_and_no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = socket.socket.__init__

    def open_locally(
        self: socket.socket,
        family: int = -1,
        type: int = -1,
        proto: int = -1,
        fileno: int | None = None,
    ) -> None:
        # The pair by which an event loop wakes itself is the one socket that leads nowhere.
        if family != socket.AF_UNIX or fileno is None:
            raise TouchedTheWorld("a socket was opened; use the memory adapters")
        opened(self, family, type, proto, fileno)

    monkeypatch.setattr(socket.socket, "__init__", open_locally)
    monkeypatch.setattr(socket, "getaddrinfo", _no_lookup)
    monkeypatch.setattr(time, "sleep", _no_waiting)


def _no_lookup(host: object, *_: object, **__: object) -> NoReturn:
    raise TouchedTheWorld(f"the address of {host!r} was looked up; use the memory adapters")


def _no_waiting(seconds: float) -> NoReturn:
    raise TouchedTheWorld(f"time.sleep({seconds}) waits on the real clock; await asyncio.sleep")
