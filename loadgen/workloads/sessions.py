"""Whoever types does not wait: nearly half of all completions are typed through.

A session is one editor. While its writer types, each request makes the one before worthless;
when the writer pauses to read, the answer is wanted. Instants are taken as they are and handed
to editors, so that sessions change neither the rate nor the burstiness of the arrivals.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from random import Random
from typing import Final

# About 100 words a minute, and what a writer adds before asking again after a pause.
_KEY_S: Final = 0.12
_ACCEPTED_CHARS: Final = (4, 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Typing:
    """How writers behave; `place_requests` is how long they stay in one place of the code."""

    typed_through: float = 0.475
    soonest_s: float = 0.05
    latest_s: float = 0.4
    pause_s: float = 1.0
    editors: int = 16
    place_requests: float = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Keystroke:
    """A completion asked for after `typed_chars` more characters at one place.

    `superseded`: at `cancel_at_s` the same session asks again; else the client just leaves.
    """

    session: int
    place: int
    typed_chars: int
    cancel_at_s: float | None
    superseded: bool


@dataclass(slots=True)
class _Editor:
    number: int
    place: int = 0
    typed_chars: int = 0

    def type_on(self, gap_s: float) -> None:
        self.typed_chars += max(1, round(gap_s / _KEY_S))

    def resume(self, typing: Typing, rng: Random) -> None:
        if rng.random() < 1 / typing.place_requests:
            self.place, self.typed_chars = self.place + 1, 0
        else:
            self.typed_chars += rng.randint(*_ACCEPTED_CHARS)


@dataclass(frozen=True, slots=True)
class _Typed:
    """A request whose writer is still typing, and the moment the writer gives it up."""

    index: int
    at_s: float
    leaves_at_s: float
    editor: _Editor


@dataclass(slots=True)
class _Room:
    """All editors: typing, reading until some instant, or idle."""

    typing: Typing
    rng: Random
    opened: int = 0
    typists: deque[_Typed] = field(default_factory=deque)
    readers: list[tuple[float, int, _Editor]] = field(default_factory=list)
    idle: list[_Editor] = field(default_factory=list)

    def advance(self, now_s: float) -> None:
        while self.typists and self.typists[0].at_s < now_s - self.typing.latest_s:
            late = self.typists.popleft()
            self.rest(late.editor, late.leaves_at_s)
        while self.readers and self.readers[0][0] <= now_s:
            self.idle.append(heappop(self.readers)[2])

    def rest(self, editor: _Editor, from_s: float) -> None:
        heappush(self.readers, (from_s + self.typing.pause_s, editor.number, editor))

    def still_typing(self, now_s: float) -> _Typed | None:
        if self.typists and self.typists[0].at_s <= now_s - self.typing.soonest_s:
            return self.typists.popleft()
        return None

    def an_idle_editor(self) -> _Editor:
        if not self.idle or self.opened < self.typing.editors:
            self.opened += 1
            return _Editor(self.opened)
        choice = self.rng.randrange(len(self.idle))
        self.idle[choice], self.idle[-1] = self.idle[-1], self.idle[choice]
        editor = self.idle.pop()
        editor.resume(self.typing, self.rng)
        return editor

    def ask(self, index: int, at_s: float, editor: _Editor) -> Keystroke:
        leaves_at_s = None
        if self.rng.random() < self.typing.typed_through:
            leaves_at_s = at_s + self.rng.uniform(self.typing.soonest_s, self.typing.latest_s)
            self.typists.append(_Typed(index, at_s, leaves_at_s, editor))
        else:
            self.rest(editor, at_s)
        return Keystroke(
            session=editor.number,
            place=editor.place,
            typed_chars=editor.typed_chars,
            cancel_at_s=leaves_at_s,
            superseded=False,
        )


def keystrokes(times: Sequence[float], typing: Typing, rng: Random) -> list[Keystroke]:
    """Who asked at each of these rising instants, and when that answer stops being wanted."""
    room = _Room(typing, rng)
    strokes: list[Keystroke] = []
    for index, at_s in enumerate(times):
        room.advance(at_s)
        before = room.still_typing(at_s)
        if before is None:
            editor = room.an_idle_editor()
        else:
            editor = before.editor
            editor.type_on(at_s - before.at_s)
            strokes[before.index] = replace(
                strokes[before.index], cancel_at_s=at_s, superseded=True
            )
        strokes.append(room.ask(index, at_s, editor))
    return strokes
