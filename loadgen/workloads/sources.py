"""The best prompts for a coding service are code that somebody really wrote and others kept.

The Python standard library lies beside every interpreter, so the corpus needs no download. It
differs between Python versions: the same seed cuts the same prompts only from the same library.
"""

import ast
import os
import sysconfig
import textwrap
import tokenize
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from loadgen.workloads.errors import CorpusEmpty

_SKIPPED: Final = frozenset(
    {"test", "tests", "idlelib", "lib2to3", "site-packages", "dist-packages", "__pycache__"}
)
# Smaller files hold no function worth asking about; larger ones take long to parse.
_FILE_BYTES: Final = range(2_000, 80_000)
_FILES: Final = 150

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One function or class, by its lines (counted from 0, `end_line` excluded).

    `stub` is signature and docstring, of a function that has both and a body to be written.
    """

    name: str
    is_function: bool
    first_line: int
    end_line: int
    code: str
    stub: str | None

    def overlaps(self, other: "Unit") -> bool:
        return self.first_line < other.end_line and other.first_line < self.end_line


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A parsed file."""

    name: str
    text: str
    lines: tuple[str, ...]
    units: tuple[Unit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    path: Path
    size_bytes: int

    def parse(self) -> Source:
        with tokenize.open(self.path) as file:
            text = file.read()
        # Not splitlines: it also splits at form feeds, and the parser does not.
        lines = tuple(text.split("\n"))
        units = tuple(_units(ast.parse(text), lines))
        return Source(name=self.path.name, text=text, lines=lines, units=units)


class Library:
    """Source files by rising size, each parsed when it is first wanted and then kept."""

    def __init__(self, root: Path, *, files: int = _FILES) -> None:
        found = sorted(_source_files(root), key=lambda file: file.path.as_posix())
        if not found:
            raise CorpusEmpty(root)
        # Always the same sample: the seed of a workload chooses the cuts, not the library.
        sample = Random(0).sample(found, min(files, len(found)))
        self._root = root
        self._files = sorted(sample, key=lambda file: (file.size_bytes, file.path.as_posix()))
        self._parsed: dict[Path, Source] = {}

    def __len__(self) -> int:
        return len(self._files)

    def choose(self, rng: Random, *, at_least_chars: int) -> Source:
        """A file that is long enough, or the longest there is, and that holds a function."""
        lowest = bisect_left(self._files, at_least_chars, key=lambda file: file.size_bytes)
        lowest = min(lowest, len(self._files) - 1)
        start = rng.randrange(lowest, len(self._files))
        for step in range(len(self._files)):
            source = self._source(self._files[(start + step) % len(self._files)])
            if any(unit.stub for unit in source.units):
                return source
        raise CorpusEmpty(self._root)

    def _source(self, file: SourceFile) -> Source:
        if file.path not in self._parsed:
            self._parsed[file.path] = file.parse()
        return self._parsed[file.path]


def standard_library() -> Library:
    return Library(Path(sysconfig.get_path("stdlib")))


def _source_files(root: Path) -> Iterator[SourceFile]:
    for folder, inner, names in os.walk(root):
        inner[:] = [name for name in inner if name not in _SKIPPED]
        for name in names:
            path = Path(folder, name)
            # Some systems link a file of theirs in here, and the link may lead nowhere.
            if not name.endswith(".py") or not path.is_file():
                continue
            if (size_bytes := path.stat().st_size) in _FILE_BYTES:
                yield SourceFile(path=path, size_bytes=size_bytes)


def _units(tree: ast.Module, lines: tuple[str, ...]) -> Iterator[Unit]:
    for node in ast.walk(tree):
        if not isinstance(node, Function | ast.ClassDef) or node.end_lineno is None:
            continue
        first = min([node.lineno, *(mark.lineno for mark in node.decorator_list)]) - 1
        code = textwrap.dedent("\n".join(lines[first : node.end_lineno]))
        # Text inside a string may start left of the code around it; such code cannot be moved.
        if code[0].isspace():
            continue
        yield Unit(
            name=node.name,
            is_function=isinstance(node, Function),
            first_line=first,
            end_line=node.end_lineno,
            code=code,
            stub=_stub(node, code, first),
        )


def _stub(node: Function | ast.ClassDef, code: str, first_line: int) -> str | None:
    if isinstance(node, ast.ClassDef) or ast.get_docstring(node) is None:
        return None
    docstring, *body = node.body
    if not body or docstring.end_lineno is None or docstring.end_lineno >= body[0].lineno:
        return None
    return "\n".join(code.split("\n")[: docstring.end_lineno - first_line])
