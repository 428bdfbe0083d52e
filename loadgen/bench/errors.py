"""A measurement that cannot be made says what is missing.

BenchError
├── ChildFailed      a process that is measured did not start, or ended
└── PartMissing      a program that is not installed here
"""

from pathlib import Path


class BenchError(Exception):
    pass


class ChildFailed(BenchError):
    def __init__(self, name: str, why: str, log: Path) -> None:
        self.name = name
        self.log = log
        last = _last_line(log)
        super().__init__(f"{name} {why}" + (f": {last}" if last else ""))


class PartMissing(BenchError):
    def __init__(self, part: str, how_to_get_it: str) -> None:
        self.part = part
        super().__init__(f"{part} is not installed here; {how_to_get_it}")


def _last_line(log: Path) -> str:
    if not log.exists():
        return ""
    lines = log.read_text(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
