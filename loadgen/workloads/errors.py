"""A workload that cannot be read is refused with the place and with what would have worked.

WorkloadError
├── TraceUnreadable        a line, a window or a whole trace file
├── MixUnreadable          a field of a mix file
├── ArrivalsImpossible     a rate, a duration or a spread that no process has
└── CorpusEmpty            no source code where it was looked for
"""

from pathlib import Path


class WorkloadError(Exception):
    pass


class TraceUnreadable(WorkloadError):
    def __init__(self, path: Path, line: int | None, expected: str, found: object) -> None:
        self.path = path
        self.line = line
        place = f"{path}" if line is None else f"{path}, line {line}"
        super().__init__(f"{place}: expected {expected}, found {found!r}")


class MixUnreadable(WorkloadError):
    def __init__(self, place: str, expected: str, found: object) -> None:
        self.place = place
        super().__init__(f"{place}: expected {expected}, found {found!r}")


class ArrivalsImpossible(WorkloadError):
    def __init__(self, name: str, expected: str, found: float) -> None:
        self.name = name
        super().__init__(f"{name}: expected {expected}, found {found!r}")


class CorpusEmpty(WorkloadError):
    def __init__(self, root: Path) -> None:
        self.root = root
        super().__init__(f"{root}: expected Python files with functions, found none")
