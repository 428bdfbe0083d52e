"""A run that cannot begin says why in one line, and what would have worked.

DriverError
├── ServerUnreachable      nothing answers at the address
├── ServerRefused          it answers, but not to us
└── KeysUnreadable         the file of API keys
"""

from pathlib import Path


class DriverError(Exception):
    pass


class ServerUnreachable(DriverError):
    def __init__(self, url: str, why: str) -> None:
        self.url = url
        super().__init__(f"{url} cannot be reached ({why}); is the house up? `make up` starts one")


class ServerRefused(DriverError):
    def __init__(self, url: str, status: int, what_would_work: str) -> None:
        self.url = url
        self.status = status
        super().__init__(f"{url} answered {status}; {what_would_work}")


class KeysUnreadable(DriverError):
    def __init__(self, path: Path, found: str) -> None:
        self.path = path
        super().__init__(f"{path}: expected one API key per line, found {found}")
