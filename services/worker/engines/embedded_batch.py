"""Continuous batching for the embedded engine: who computes next, and where its cache lies.

Sequences that decode lie at places 0 … n-1, so that one step reads them all; a prompt is read chunk
by chunk at a place of its own, the last, and moves when it is through.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter


@dataclass(slots=True, eq=False, kw_only=True)
class Member:
    """One job in the batch: `tokens` are the prompt and what followed, the cache holds some."""

    prompt_tokens: int
    rank: tuple[int, int]
    tokens: list[int]
    cached: int = 0

    def unread(self) -> int:
        """Tokens of the prompt that are still to be prefilled."""
        return max(0, self.prompt_tokens - self.cached)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    member: Member
    source: int
    target: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`chunk_tokens` of the prompt of `prefilling` are read; each of `decoding` gets one token."""

    moves: tuple[Move, ...]
    prefilling: Member | None
    chunk_tokens: int
    decoding: tuple[Member, ...]

    def kv_tokens(self) -> int:
        return sum(member.cached for member in self.decoding)

    def emitting(self) -> tuple[Member, ...]:
        """Who gets a token: the rows of the scores, in this order."""
        last = self.prefilling
        joins = last is not None and last.unread() == self.chunk_tokens
        return (*self.decoding, last) if joins and last is not None else self.decoding


@dataclass(slots=True, kw_only=True)
class PlacedBatch:
    """Members wait by rank; `places` can decode at once, and one reads at the place behind.

    A prompt's token that looks back at `far_tokens` costs twice what the first one does; chunks
    shrink with that, so that no step is much longer than another.
    """

    places: int
    chunk_tokens: int
    far_tokens: int
    decoding: list[Member] = field(default_factory=list)
    prefilling: Member | None = None
    waiting: list[Member] = field(default_factory=list)
    _moves: list[Move] = field(default_factory=list)

    def members(self) -> Sequence[Member]:
        reading = () if self.prefilling is None else (self.prefilling,)
        return (*self.decoding, *reading, *self.waiting)

    def add(self, member: Member) -> None:
        self.waiting.append(member)
        self.waiting.sort(key=attrgetter("rank"))

    def remove(self, member: Member) -> None:
        """Take it out wherever it is; one that has left is no error."""
        if member is self.prefilling:
            self.prefilling = None
        elif member in self.waiting:
            self.waiting.remove(member)
        elif member in self.decoding:
            self._close_gap(self.decoding.index(member))

    def next_step(self) -> Step | None:
        """None when there is nothing to do."""
        if self.prefilling is None and self.waiting and len(self.decoding) < self.places:
            self.prefilling = self.waiting.pop(0)
        if self.prefilling is None and not self.decoding:
            return None
        moves, self._moves = tuple(self._moves), []
        reading = self.prefilling
        return Step(
            moves=moves,
            prefilling=reading,
            chunk_tokens=self._chunk_of(reading) if reading else 0,
            decoding=tuple(self.decoding),
        )

    def _chunk_of(self, reading: Member) -> int:
        affordable = round(self.chunk_tokens / (1 + reading.cached / self.far_tokens))
        return min(max(1, affordable), reading.unread())

    def done(self, step: Step) -> None:
        """The step's tokens are in the cache; who has read its prompt decodes from now on."""
        for member in step.decoding:
            member.cached += 1
        if step.prefilling is not None:
            step.prefilling.cached += step.chunk_tokens
        reading = self.prefilling
        if reading is not None and not reading.unread():
            self.prefilling = None
            self._moves.append(Move(member=reading, source=self.places, target=len(self.decoding)))
            self.decoding.append(reading)

    def _close_gap(self, place: int) -> None:
        last = self.decoding.pop()
        if place < len(self.decoding):
            self._moves.append(Move(member=last, source=len(self.decoding), target=place))
            self.decoding[place] = last
