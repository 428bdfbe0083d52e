"""Does code parse? Only a language with a parser named here is ever checked."""

import ast
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Final

from shared.tasks.grammars import GRAMMARS

_FENCED: Final = re.compile(r"(?P<fence>`{3,})[^\n`]*\n(?P<code>.*?)\n?(?P=fence)", re.DOTALL)

PARSERS: Final[Mapping[str, Callable[[str], object]]] = {
    "python": ast.parse,
    "json": json.loads,
    "toml": tomllib.loads,
    **{language: grammar.check for language, grammar in GRAMMARS.items()},
}
_ALIASES: Final[Mapping[str, str]] = {
    "cc": "c++",
    "cpp": "c++",
    "cs": "c#",
    "csharp": "c#",
    "ecmascript": "javascript",
    "es": "javascript",
    "golang": "go",
    "js": "javascript",
    "jsx": "javascript",
    "kt": "kotlin",
    "node": "javascript",
    "node.js": "javascript",
    "nodejs": "javascript",
    "py": "python",
    "rb": "ruby",
    "rs": "rust",
    "sh": "bash",
    "shell": "bash",
    "ts": "typescript",
    "tsx": "typescript",
}
# C++20, Java 21, Python 3.11, ES2022: each is read by the grammar of the newest.
_VERSION: Final = re.compile(r"[\s-]*v?\d[\dax.]*$")


def parser_of(language: str) -> str | None:
    """The name under which a language has a parser, however the client wrote it."""
    name = _VERSION.sub("", language.strip().lower())
    name = _ALIASES.get(name, name)
    return name if name in PARSERS else None


def code_in(answer: str) -> str:
    """What stands between the first fences of a model's answer, or all of it."""
    found = _FENCED.search(answer)
    return found.group("code") if found else answer


def parses(language: str, answer: str) -> bool:
    """Is the code in this answer well-formed? Whoever asks bounds its size, time and memory.

    Raises KeyError for a language without a parser.
    """
    try:
        PARSERS[language](code_in(answer))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
