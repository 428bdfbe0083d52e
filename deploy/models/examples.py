"""A model learns to fill in the middle from code whose middle was moved to the end.

Cut at characters, after Bavarian et al., "Efficient Training of Language Models to Fill in the
Middle" (2022): some in the order prefix, suffix, middle (PSM) that other servers ask for, most with
the suffix first (SPM) and no mark of the middle. There prefix and middle are one text, in whose
tokens the cursor leaves no trace: all of it teaches what the embedded engine asks for, and that
the text ends where the suffix goes on. Most middles end with their line, as what an editor asks
for does.
"""

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random
from typing import Final

from tokenizers import Tokenizer

from deploy.models.architecture import END, FIM_MIDDLE, FIM_PREFIX, FIM_SUFFIX
from deploy.models.corpus import Document
from deploy.models.holes import Hole, rest_of_line
from deploy.models.vocabulary import mark

# Enough characters for so many tokens of any code, and not many more.
_CHARS_A_TOKEN: Final = 4
_PLAIN_SHARE: Final = 0.25
_ONE_LINE_SHARE: Final = 0.75
_MOST_LINES: Final = 5
# Editors send more of what stands before the cursor than of what comes after it.
_PREFIX_SHARES: Final = (0.5, 0.9)
_SMALLEST_TOKENS: Final = 32
_WHOLE_SHARE: Final = 0.5
_SUFFIX_FIRST_SHARE: Final = 0.7
# A middle is a twentieth of its example, and what the model is for.
_MIDDLE_WEIGHT: Final = 3.0


@dataclass(slots=True)
class Row:
    """Tokens side by side with what each counts in the loss."""

    tokens: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)

    def add(self, tokens: Sequence[int], weight: float) -> None:
        self.tokens += tokens
        self.weights += [weight] * len(tokens)


class Examples:
    """Rows cut from documents, each document as often as it is long."""

    def __init__(self, documents: Sequence[Document], tokenizer: Tokenizer, rng: Random) -> None:
        self._texts = [document.text for document in documents]
        self._ends = list(accumulate(map(len, self._texts)))
        self._tokenizer = tokenizer
        self._rng = rng
        self._end, self._prefix, self._suffix, self._middle = (
            mark(tokenizer, name) for name in (END, FIM_PREFIX, FIM_SUFFIX, FIM_MIDDLE)
        )

    def row(self, tokens: int) -> Row:
        """Exactly so many tokens, of one example or of several."""
        row = Row()
        largest = tokens if self._rng.random() < _WHOLE_SHARE else tokens // 2
        while (room := tokens - len(row.tokens)) >= _SMALLEST_TOKENS:
            text = self._texts[bisect(self._ends, self._rng.randrange(self._ends[-1]))]
            if self._rng.random() < _PLAIN_SHARE:
                self._add_plain(row, text, min(room, largest))
            else:
                self._add_infill(row, text, min(room, largest))
        row.add([self._end] * room, 0.0)
        return row

    def _add_plain(self, row: Row, text: str, tokens: int) -> None:
        start = text.rfind("\n", 0, self._rng.randrange(len(text))) + 1
        ids = self._ids(text[start : start + _CHARS_A_TOKEN * tokens])
        row.add([*ids[: tokens - 1], self._end], 1.0)
        # Where the text goes on, its end is not to be learned.
        row.weights[-1] = float(len(ids) < tokens)

    def _add_infill(self, row: Row, text: str, tokens: int) -> None:
        hole = self._hole(text)
        middle = self._ids(text[hole.start : hole.end])[: tokens // 2]
        room = tokens - len(middle) - 4
        after = round(room * (1 - self._rng.uniform(*_PREFIX_SHARES)))
        suffix = self._ids(text[hole.end : hole.end + _CHARS_A_TOKEN * after])[:after]
        before = room - len(suffix)
        start = max(0, hole.start - _CHARS_A_TOKEN * before)
        if self._rng.random() < _SUFFIX_FIRST_SHARE:
            written = self._ids(text[start : hole.end])[-before - len(middle) :]
            row.add([self._suffix, *suffix, self._prefix, *written[: -len(middle)]], 1.0)
            row.add([*written[-len(middle) :], self._end], _MIDDLE_WEIGHT)
        else:
            prefix = self._ids(text[start : hole.start])[-before:]
            row.add([self._prefix, *prefix, self._suffix, *suffix, self._middle], 1.0)
            row.add([*middle, self._end], _MIDDLE_WEIGHT)

    def _hole(self, text: str) -> Hole:
        hole = rest_of_line(text, self._rng)
        if self._rng.random() < _ONE_LINE_SHARE:
            return hole
        end = hole.end
        for _ in range(self._rng.randrange(_MOST_LINES)):
            end = max(end, text.find("\n", end + 1))
        return Hole(hole.start, end)

    def _ids(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False).ids
