"""Does what was written fit where the cursor was? Python judges, and runs nothing.

An editor cuts the text before and after the cursor wherever it likes, so a whole file is seldom
there. What is judged are whole lines around the cursor, from the outermost line on at which they
are the beginning of something well-formed. The text may end too early, but it may not be wrong.
"""

import ast
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Final, Self

# Some hundred lines, which a parser reads in a few milliseconds.
_MOST_ABOVE_CHARS: Final = 2048
_MOST_BELOW_CHARS: Final = 1024
_MOST_WRITTEN_CHARS: Final = 2048
_MOST_BEGINNINGS: Final = 8
# PyCF_ALLOW_INCOMPLETE_INPUT, by which `codeop` asks whether what was typed can still be right.
_FLAGS: Final = ast.PyCF_ONLY_AST | 0x4000
_NOT_YET: Final = "incomplete input"
_NONSENSE: Final = "?"

Lines = Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Whole lines above and below; the cursor cuts its own in two."""

    above: Lines
    left: str
    right: str
    below: Lines

    @classmethod
    def between(cls, prefix: str, suffix: str) -> Self | None:
        """None where the lines around the cursor are no Python, so that nothing can be said."""
        *above, left = prefix[-_MOST_ABOVE_CHARS:].split("\n")
        right, *below = suffix[:_MOST_BELOW_CHARS].split("\n")
        for first in islice(_beginnings(above, left), _MOST_BEGINNINGS):
            inside = _as_deep_as(below[:-1], above[first] if first < len(above) else left)
            for after in (inside, ()):
                gap = cls(above=above[first:], left=left, right=right, below=after)
                if gap._is_sound():
                    return gap
        return None

    def takes(self, answer: str) -> bool:
        """Is it well-formed with this in the gap? Nothing at all is no answer."""
        if not answer.strip() or len(answer) > _MOST_WRITTEN_CHARS:
            return False
        return self._holds(f"{self.left}{answer}{self.right}")

    def _is_sound(self) -> bool:
        """Does a line that says nothing fit here, and nonsense not, as it would within a string?"""
        return (self._holds(" " * _indent(self.left) + "pass") or self._holds("")) and not (
            self._holds(_NONSENSE)
        )

    def _holds(self, line: str) -> bool:
        return _may_become_python([*self.above, *line.split("\n"), *self.below])


def _beginnings(above: Lines, left: str) -> Iterator[int]:
    """The first line, then the heads of the blocks around the cursor, outermost first."""
    heads: list[int] = []
    depth = _indent(left) + 1
    for at in range(len(above) - 1, -1, -1):
        if above[at].strip() and _indent(above[at]) < depth:
            heads.append(at)
            depth = _indent(above[at])
    written = (at for at, line in enumerate(above) if line.strip())
    first = next(written, len(above))
    yield first
    yield from (at for at in reversed(heads) if at != first)


def _as_deep_as(below: Lines, first: str) -> Lines:
    """As far as they belong to the block in which this line stands."""
    depth = _indent(first)
    return tuple(takewhile(lambda line: not line.strip() or _indent(line) >= depth, below))


def _may_become_python(lines: Lines) -> bool:
    """Is it well-formed, or the beginning of something that is?"""
    code = "\n".join(_dedented(lines)) + "\n"
    # A warning would quote the code to whoever reads the logs.
    with warnings.catch_warnings(action="ignore"):
        try:
            compile(code, "", "exec", _FLAGS, dont_inherit=True)
        except SyntaxError as error:
            return error.msg == _NOT_YET
        except (ValueError, RecursionError, MemoryError):
            return False
    return True


def _dedented(lines: Lines) -> Iterator[str]:
    """By what the first line with something on it is indented."""
    depth = _indent(next((line for line in lines if line.strip()), ""))
    return (line[depth:] if not line[:depth].strip() else line.lstrip() for line in lines)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
