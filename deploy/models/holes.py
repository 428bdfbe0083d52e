"""What an editor asks for most: the rest of the line that the cursor is in."""

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Hole:
    """What is missing in a text, from the cursor to the end; the end is excluded."""

    start: int
    end: int


def rest_of_line(text: str, rng: Random) -> Hole:
    """From somewhere behind the indentation of a line to its end; the text has such a line."""
    while True:
        cursor = rng.randrange(len(text))
        start = text.rfind("\n", 0, cursor) + 1
        end = text.find("\n", cursor)
        if end > cursor and text[start:cursor].strip():
            return Hole(cursor, end)
