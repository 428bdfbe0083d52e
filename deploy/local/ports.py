"""Every part of the house listens on a loopback port, which somebody else may hold already."""

import argparse
import socket
from collections import deque
from typing import Final

from deploy.local.errors import PortTaken

LOOPBACK = "127.0.0.1"

# Whoever is to listen there has to start first; until then the kernel would choose a port again.
_CHOSEN: Final[deque[int]] = deque(maxlen=1000)
_HIGHEST: Final = 65_535


def port(text: str) -> int:
    """As somebody typed it; 0 stands for any."""
    if not text.isdecimal() or int(text) > _HIGHEST:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to {_HIGHEST}, found {text!r}")
    return int(text)


def chosen_port(port: int, *, setting: str) -> int:
    """The port that was asked for, if it is free; for 0 any that is, and was not chosen lately."""
    while (bound := _bound(port, setting)) in _CHOSEN and port == 0:
        pass
    _CHOSEN.append(bound)
    return bound


def _bound(port: int, setting: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port on which only closed connections linger counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise PortTaken(port, setting) from error
        bound: int = probe.getsockname()[1]
        return bound
