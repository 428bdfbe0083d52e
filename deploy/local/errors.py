"""What can keep the house from standing on a laptop, and what would have worked instead.

LocalError
├── PortTaken         a port that was asked for belongs to somebody else
├── FolderTaken       another house keeps its logs and its broker's address there
├── ChildDied         a process ended that should have gone on
├── NotReady          a process runs but did not become ready in time
└── MissingPart       something must be installed first
    ├── KafkaUnavailable  Apache Kafka itself cannot run here
    ├── EngineUnreachable the engine that was named does not answer
    └── StoreUnreachable  nor does the broker or the Redis that was named
"""

import signal
from pathlib import Path


class LocalError(Exception):
    """The house cannot stand on this machine as it was asked to."""


class PortTaken(LocalError):
    def __init__(self, port: int, setting: str) -> None:
        self.port = port
        self.setting = setting
        super().__init__(
            f"port {port} is in use; end what listens there or choose another {setting}"
        )


class FolderTaken(LocalError):
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        super().__init__(f"another house stands in {directory}; end it or choose another --out")


class ChildDied(LocalError):
    def __init__(self, name: str, status: int, last_lines: tuple[str, ...], log: Path) -> None:
        self.name = name
        self.status = status
        self.last_lines = last_lines
        said = "".join(f"\n  {line}" for line in last_lines) or " nothing"
        super().__init__(f"{name} {_ended(status)}; the last it said ({log}):{said}")


class NotReady(LocalError):
    def __init__(self, name: str, within_s: float, last_lines: tuple[str, ...], log: Path) -> None:
        self.name = name
        self.within_s = within_s
        self.last_lines = last_lines
        said = "".join(f"\n  {line}" for line in last_lines) or " nothing"
        super().__init__(f"{name} was not ready within {within_s:g} s; its log ({log}):{said}")


class MissingPart(LocalError):
    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}; {remedy}")


class KafkaUnavailable(MissingPart):
    """Apache Kafka cannot run here; the embedded broker can, where nothing need be durable."""


class EngineUnreachable(MissingPart):
    """Nothing that speaks the OpenAI API answers where the engine should be."""


class StoreUnreachable(MissingPart):
    """No broker, or no Redis, answers where it should be."""


def _ended(status: int) -> str:
    """As `subprocess` tells it: below zero it is the signal."""
    if status >= 0:
        return f"ended with status {status}"
    return f"was ended by {signal.Signals(-status).name}"
