"""The standard library lies beside every interpreter; some of its modules the model never sees."""

import sysconfig
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final

# Tests are written unlike what they test; the last two are tables, not code.
_SKIPPED: Final = frozenset(
    {"test", "tests", "idle_test", "site-packages", "__pycache__", "encodings", "pydoc_data"}
)
# Written by the build for one machine.
_GENERATED: Final = ("config-", "_sysconfigdata")
# A file this small holds nothing to learn from.
_SMALLEST_CHARS: Final = 500
_HELD_OUT_ONE_IN: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One source file, by its path below the library."""

    name: str
    text: str

    @property
    def is_held_out(self) -> bool:
        return is_held_out(self.name)


def is_held_out(name: str) -> bool:
    """By the top-level module, so that it is the same choice in every version of Python.

    A twin written in Python (`_pydecimal`) goes with its module.
    """
    module = name.split("/")[0].removesuffix(".py").lstrip("_").removeprefix("py")
    return int.from_bytes(blake2b(module.encode()).digest()) % _HELD_OUT_ONE_IN == 0


def standard_library() -> tuple[Document, ...]:
    """In the order of their names."""
    return tuple(_documents(Path(sysconfig.get_path("stdlib"))))


def _documents(root: Path) -> Iterator[Document]:
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root)
        if _SKIPPED.isdisjoint(place.parts[:-1]) and not place.as_posix().startswith(_GENERATED):
            with tokenize.open(path) as file:
                text = file.read()
            if len(text) >= _SMALLEST_CHARS:
                yield Document(name=place.as_posix(), text=text)
