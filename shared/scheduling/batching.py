"""Continuous batching: an engine's step decodes one token of each sequence and prefills what fits.

Pure: `Batch.next_step` says what the next step does and how long it takes; whoever drives it lets
that time pass. A step costs what joins, leaves and prefills in it, not what decodes: decoding
sequences all move by one, so that their progress is the difference of two step numbers.
"""

from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple

from shared.scheduling.step_time import EngineProfile
from shared.scheduling.stretch import Stretch


@dataclass(slots=True, eq=False, kw_only=True)
class Sequence:
    """One request in an engine; smaller priority is sooner, ties go first come first served."""

    prompt_tokens: int
    output_tokens: int
    priority: int = 0
    # Of the prompt, in the engine's cache already: not prefilled again.
    cached_tokens: int = 0
    arrival: int = 0
    # Tokens to prefill: the prompt, and after a preemption what had been decoded too.
    target_tokens: int = 0
    prefilled_tokens: int = 0
    emitted_before: int = 0
    joined_step: int = 0
    # The one that brings its last token; 0 while it does not decode.
    last_step: int = 0

    def rank(self) -> tuple[int, int]:
        return (self.priority, self.arrival)

    def unprefilled_tokens(self) -> int:
        return self.target_tokens - self.prefilled_tokens


class Step(NamedTuple):
    """What one step did: each of `emitted` got one token; `finished` are those that got their last.

    `chunks` says whose prompts it prefilled, and how much of each; `joined` got their first token
    of this stay. `prefill_context` is Σ over chunks of chunk tokens · tokens already in the cache.
    """

    duration_s: float
    prefill_tokens: int
    prefill_context: int
    decoded: int
    kv_tokens: int
    chunks: tuple[tuple[Sequence, int], ...]
    joined: tuple[Sequence, ...]
    emitted: tuple[Sequence, ...]
    finished: tuple[Sequence, ...]
    preempted: tuple[Sequence, ...]


@dataclass(slots=True, kw_only=True)
class Batch:
    """The sequences of one engine, waiting and running.

    A sequence is admitted to the KV cache with its whole prompt; when decoding needs more than
    there is, the running sequence of the last rank is preempted and later recomputed, as vLLM does.
    """

    profile: EngineProfile
    steps: int = 0
    reserved_tokens: int = 0
    unprefilled_tokens: int = 0
    _arrivals: int = 0
    _context_tokens: int = 0
    _waiting: list[tuple[tuple[int, int], Sequence]] = field(default_factory=list)
    _waits: set[Sequence] = field(default_factory=set)
    _prefilling: dict[Sequence, None] = field(default_factory=dict)
    _decoding: dict[Sequence, None] = field(default_factory=dict)
    _endings: list[tuple[int, int, Sequence]] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Otherwise a full house of decoding sequences would leave no room for itself.
        if self.profile.chunk_tokens < self.profile.max_sequences:
            raise ValueError("chunk_tokens must be at least max_sequences")

    @property
    def running(self) -> int:
        return len(self._prefilling) + len(self._decoding)

    @property
    def waiting(self) -> int:
        return len(self._waits)

    def is_idle(self) -> bool:
        return not (self._waits or self._prefilling or self._decoding)

    def fits(self, prompt_tokens: int, output_tokens: int) -> bool:
        """Could this sequence ever run here, were it alone?"""
        profile = self.profile
        limit = min(profile.context_tokens, profile.kv_capacity_tokens)
        return prompt_tokens + output_tokens <= limit

    def admit(self, sequence: Sequence) -> None:
        """Let it wait for its place. Raises ValueError when it could not even run alone."""
        if min(sequence.prompt_tokens, sequence.output_tokens) < 1:
            raise ValueError("a sequence has at least one token of prompt and one of output")
        if not self.fits(sequence.prompt_tokens, sequence.output_tokens):
            raise ValueError("the sequence is longer than the engine can hold")
        if not 0 <= sequence.cached_tokens < sequence.prompt_tokens:
            raise ValueError("the last token of a prompt is never cached")
        self._arrivals += 1
        sequence.arrival = self._arrivals
        sequence.target_tokens = sequence.prompt_tokens
        self._wait(sequence)

    def remove(self, sequence: Sequence) -> None:
        """Take it out wherever it is; one that has finished or left is no error."""
        if sequence in self._waits:
            self._waits.discard(sequence)
            self.unprefilled_tokens -= sequence.unprefilled_tokens()
        elif sequence in self._prefilling:
            del self._prefilling[sequence]
            self.unprefilled_tokens -= sequence.unprefilled_tokens()
            self.reserved_tokens -= sequence.target_tokens
        elif sequence in self._decoding:
            self._leave(sequence)

    def emitted(self, sequence: Sequence) -> int:
        """Tokens it has produced so far, at the end of the last step."""
        if sequence in self._decoding:
            return sequence.emitted_before + 1 + self.steps - sequence.joined_step
        return sequence.emitted_before

    def next_step(self) -> Step | None:
        """Plan and do one step; None when there is nothing to do."""
        preempted = self._make_room() if self._is_short_of_room() else ()
        decoded = len(self._decoding)
        chunks: tuple[tuple[Sequence, int], ...] = ()
        joined: tuple[Sequence, ...] = ()
        prefill_tokens = prefill_context = 0
        if self.unprefilled_tokens:
            budget = self.profile.chunk_tokens - decoded
            chunks, prefill_context = self._prefill(budget, may_admit=not preempted)
            prefill_tokens = sum([tokens for _, tokens in chunks])
            joined = tuple([each for each, _ in chunks if not each.unprefilled_tokens()])
        if not decoded and not chunks:
            return None
        self._decode(1)
        kv_tokens = self._context_tokens
        for sequence in joined:
            self._join(sequence)
        duration_s = self.profile.step_time.step_s(
            prefill_tokens=prefill_tokens,
            prefill_context=prefill_context,
            sequences=decoded,
            kv_tokens=kv_tokens,
        )
        return Step(
            duration_s=duration_s,
            prefill_tokens=prefill_tokens,
            prefill_context=prefill_context,
            decoded=decoded,
            kv_tokens=kv_tokens,
            chunks=chunks,
            joined=joined,
            emitted=tuple(self._decoding),
            finished=self._finish(),
            preempted=preempted,
        )

    def quiet(self, now: float) -> Stretch | None:
        """What comes next, when that is nothing but decoding; None while there is something to
        prefill, nothing to decode, or room for too few tokens."""
        decoding = len(self._decoding)
        if self._waits or self._prefilling or not decoding:
            return None
        while self._endings[0][0] != self._endings[0][2].last_step:
            heappop(self._endings)
        room = self.profile.kv_capacity_tokens - self.reserved_tokens
        steps = min(self._endings[0][0] - self.steps, room // decoding)
        if not steps:
            return None
        time = self.profile.step_time
        kv_tokens = self._context_tokens
        base_s = time.base_s + time.decode_s * decoding + time.kv_s * kv_tokens
        return Stretch(now, steps, decoding, kv_tokens, base_s, time.kv_s * decoding)

    def skip(self, steps: int) -> tuple[Sequence, ...]:
        """Do so many steps of a stretch at once; returns who got a last token in the final one."""
        self._decode(steps)
        return self._finish()

    def _decode(self, steps: int) -> None:
        tokens = steps * len(self._decoding)
        self.steps += steps
        self.reserved_tokens += tokens
        self._context_tokens += tokens

    def _wait(self, sequence: Sequence) -> None:
        sequence.prefilled_tokens = sequence.cached_tokens
        self.unprefilled_tokens += sequence.unprefilled_tokens()
        self._waits.add(sequence)
        heappush(self._waiting, (sequence.rank(), sequence))

    def _is_short_of_room(self) -> bool:
        return self.reserved_tokens + len(self._decoding) > self.profile.kv_capacity_tokens

    def _make_room(self) -> tuple[Sequence, ...]:
        """Preempt from the end until every decoding sequence has place for one more token."""
        preempted: list[Sequence] = []
        while self._is_short_of_room():
            last = max((*self._decoding, *self._prefilling), key=Sequence.rank)
            emitted = self.emitted(last)
            self.remove(last)
            last.emitted_before = emitted
            last.target_tokens = last.prompt_tokens + emitted
            self._wait(last)
            preempted.append(last)
        return tuple(preempted)

    def _prefill(
        self, budget: int, *, may_admit: bool
    ) -> tuple[tuple[tuple[Sequence, int], ...], int]:
        """For those in prefill, then for newcomers: their chunks, and Σ chunk · context."""
        left, context = min(budget, self.unprefilled_tokens), 0
        chunks: list[tuple[Sequence, int]] = []
        begun = iter(tuple(self._prefilling))
        while left:
            sequence = next(begun, None) or (self._admitted() if may_admit else None)
            if sequence is None:
                break
            chunk = min(left, sequence.unprefilled_tokens())
            chunks.append((sequence, chunk))
            context += chunk * sequence.prefilled_tokens
            sequence.prefilled_tokens += chunk
            self.unprefilled_tokens -= chunk
            left -= chunk
        return tuple(chunks), context

    def _admitted(self) -> Sequence | None:
        """The first of those that wait has its place now, when there is one."""
        newcomer = self._admissible()
        if newcomer is not None:
            heappop(self._waiting)
            self._waits.discard(newcomer)
            self._prefilling[newcomer] = None
            self.reserved_tokens += newcomer.target_tokens
        return newcomer

    def _admissible(self) -> Sequence | None:
        """The first of those that wait, when there is a seat and KV for its whole prompt."""
        while self._waiting and self._waiting[0][1] not in self._waits:
            heappop(self._waiting)
        running = len(self._prefilling) + len(self._decoding)
        if not self._waiting or running >= self.profile.max_sequences:
            return None
        first = self._waiting[0][1]
        # The decoding ones are about to take one more token each.
        needed = self.reserved_tokens + len(self._decoding) + first.target_tokens
        return first if needed <= self.profile.kv_capacity_tokens else None

    def _join(self, sequence: Sequence) -> None:
        """Prefill is through: the last chunk's step gives the first token."""
        del self._prefilling[sequence]
        self._decoding[sequence] = None
        sequence.joined_step = self.steps
        self._context_tokens += sequence.target_tokens
        sequence.last_step = self.steps + sequence.output_tokens - sequence.emitted_before - 1
        heappush(self._endings, (sequence.last_step, sequence.arrival, sequence))

    def _finish(self) -> tuple[Sequence, ...]:
        finished: tuple[Sequence, ...] = ()
        while self._endings and self._endings[0][0] <= self.steps:
            last_step, _, sequence = heappop(self._endings)
            # Otherwise it has left, or the ending is from before a preemption.
            if last_step == sequence.last_step:
                self._leave(sequence)
                finished += (sequence,)
        return finished

    def _leave(self, sequence: Sequence) -> None:
        held = sequence.target_tokens + self.steps - sequence.joined_step
        sequence.emitted_before = self.emitted(sequence)
        sequence.last_step = 0
        del self._decoding[sequence]
        self._context_tokens -= held
        self.reserved_tokens -= held
