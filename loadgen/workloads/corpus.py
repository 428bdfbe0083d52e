"""Every prompt is cut from real code, to about the length the arrival says.

Tokens are taken as four characters each, which is close for code; no tokenizer is needed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, TypedDict

from loadgen.workloads.arrival import Arrival
from loadgen.workloads.mixes import COMPLETION, GENERATION, SUMMARIZATION, TRANSLATION
from loadgen.workloads.phrasing import ASKING, LANGUAGES
from loadgen.workloads.sources import Library, Source, Unit, standard_library

CHARS_PER_TOKEN: Final = 4
# Editors send more of what stands before the cursor than of what comes after it.
_PREFIX_SHARE: Final = 0.75
# A file about twice as long as the question has enough functions that fit in.
_ROOM_FOR_WHOLE_UNITS: Final = 2
_CLOSE_ENOUGH: Final = 0.15
_TRIES: Final = 6
_BETWEEN_UNITS: Final = "\n\n\n"


class ChatMessage(TypedDict):
    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """The text of one arrival, for whichever route it takes.

    A completion has `suffix`, and `middle`: what the file really says between the two. All
    others have `messages`, and `code`: the part of them that is source.
    """

    text: str
    suffix: str | None = None
    middle: str | None = None
    messages: tuple[ChatMessage, ...] = ()
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a question is about: whole functions and classes, so that the code parses."""

    name: str
    code: str


class Corpus:
    """Source files and how to ask about them."""

    def __init__(self, library: Library) -> None:
        self._library = library

    @classmethod
    def of_standard_library(cls) -> "Corpus":
        return cls(standard_library())

    def render(self, arrival: Arrival) -> Prompt:
        """The same arrival always renders the same prompt from the same library."""
        rng = Random(arrival.cut)
        if arrival.kind == COMPLETION:
            return self._fill_in_the_middle(arrival, rng)
        return self._question(arrival, rng)

    def _fill_in_the_middle(self, arrival: Arrival, rng: Random) -> Prompt:
        # The budget is that of the first keystroke here: prefixes then all start at one place
        # and grow, as they do in an editor, and a prefix cache sees it.
        base_tokens = arrival.prompt_tokens - arrival.typed_chars // CHARS_PER_TOKEN
        budget = max(0, base_tokens) * CHARS_PER_TOKEN
        source = self._library.choose(rng, at_least_chars=budget)
        opened = _cursor(source, rng)
        before, after = _split(budget, opened, len(source.text) - opened)
        cursor = min(opened + arrival.typed_chars, len(source.text))
        start = max(opened - before, cursor - arrival.prompt_tokens * CHARS_PER_TOKEN)
        end = _hole_end(source.text, cursor, arrival.output_tokens * CHARS_PER_TOKEN)
        return Prompt(
            text=source.text[start:cursor],
            suffix=source.text[end : end + after],
            middle=source.text[cursor:end],
        )

    def _question(self, arrival: Arrival, rng: Random) -> Prompt:
        asking = rng.choice(ASKING[arrival.kind])
        budget = arrival.prompt_tokens * CHARS_PER_TOKEN - len(_asked(asking, ""))
        subject = self._subject(arrival.kind, budget, rng)
        language = LANGUAGES.get(arrival.language or "", "")
        text = _asked(asking.format(name=subject.name, language=language), subject.code)
        return Prompt(text=text, messages=({"role": "user", "content": text},), code=subject.code)

    def _subject(self, kind: str, budget: int, rng: Random) -> Subject:
        """What is asked about, from the first file that has enough small enough pieces."""
        tries: list[Subject] = []
        for _ in range(_TRIES):
            source = self._library.choose(rng, at_least_chars=budget * _ROOM_FOR_WHOLE_UNITS)
            subject = _SUBJECTS[kind](source, budget, rng)
            if abs(len(subject.code) - budget) <= budget * _CLOSE_ENOUGH:
                return subject
            tries.append(subject)
        return min(tries, key=lambda subject: abs(len(subject.code) - budget))


def _split(budget: int, most_before: int, most_after: int) -> tuple[int, int]:
    """What one side of the cursor cannot use, the other gets."""
    before = min(most_before, round(budget * _PREFIX_SHARE))
    after = min(most_after, budget - before)
    return min(most_before, budget - after), after


def _hole_end(text: str, cursor: int, wanted_chars: int) -> int:
    """An answer ends its line at least."""
    line_end = text.find("\n", cursor)
    return min(len(text), max(line_end, cursor + wanted_chars))


def _cursor(source: Source, rng: Random) -> int:
    """An offset inside a line of a function, behind its indentation and before its end."""
    unit = rng.choice([unit for unit in source.units if unit.stub])
    lines = source.lines
    written = [at for at in range(unit.first_line, unit.end_line) if lines[at].strip()]
    line = rng.choice(written)
    indent = len(lines[line]) - len(lines[line].lstrip())
    column = rng.randint(indent, len(lines[line]) - 1)
    return sum(len(before) + 1 for before in lines[:line]) + column


def _asked(asking: str, code: str) -> str:
    return f"{asking}\n\n```python\n{code}\n```"


def _anything(source: Source, budget: int, rng: Random) -> Subject:
    return _whole_units(source.units, budget, rng)


def _functions(source: Source, budget: int, rng: Random) -> Subject:
    return _whole_units([unit for unit in source.units if unit.is_function], budget, rng)


def _whole_units(units: Sequence[Unit], budget: int, rng: Random) -> Subject:
    chosen = _units_about(units, budget, rng) or [min(units, key=_length)]
    # The longest is what the question names; the rest is there because it was nearby.
    return Subject(name=max(chosen, key=_length).name, code=_in_file_order(chosen))


def _unwritten(source: Source, budget: int, rng: Random) -> Subject:
    """A function to implement, below other code of its module."""
    stubs = [(unit, unit.stub) for unit in source.units if unit.stub]
    fitting = [(unit, stub) for unit, stub in stubs if len(stub) <= budget]
    target, stub = rng.choice(fitting or [min(stubs, key=lambda pair: len(pair[1]))])
    others = [unit for unit in source.units if not unit.overlaps(target)]
    context = _in_file_order(_units_about(others, budget - len(stub), rng))
    return Subject(name=target.name, code=_BETWEEN_UNITS.join(filter(None, [context, stub])))


def _units_about(units: Iterable[Unit], budget: int, rng: Random) -> list[Unit]:
    """Units that fill the budget, each at least half of what is left when there is one."""
    chosen: list[Unit] = []
    left = budget
    candidates = [unit for unit in units if _length(unit) <= left]
    while candidates:
        half = [unit for unit in candidates if _length(unit) >= left / 2]
        unit = rng.choice(half) if half else max(candidates, key=_length)
        chosen.append(unit)
        left -= _length(unit)
        candidates = [
            other for other in candidates if _length(other) <= left and not other.overlaps(unit)
        ]
    return chosen


def _length(unit: Unit) -> int:
    return len(unit.code) + len(_BETWEEN_UNITS)


def _in_file_order(units: Iterable[Unit]) -> str:
    ordered = sorted(units, key=lambda unit: unit.first_line)
    return _BETWEEN_UNITS.join(unit.code for unit in ordered)


_SUBJECTS: Final[Mapping[str, Callable[[Source, int, Random], Subject]]] = {
    GENERATION: _unwritten,
    SUMMARIZATION: _anything,
    TRANSLATION: _functions,
}
