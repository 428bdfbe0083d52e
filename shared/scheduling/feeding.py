"""A feeder says when the next prompt enters an engine, where nothing can be reordered any more."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, Self

from shared.domain.task import Task
from shared.scheduling.step_time import SHARING, EngineProfile

# A prompt must be inside before the step begins that is to prefill it.
_EARLY_S: Final = 0.002


class EngineNow(NamedTuple):
    """`prefill_tokens` are inside and not yet done; `step_s` is a recent average with prefill in
    it, `decode_step_s` what a step takes without, and `decoding_s` for how long there was none.
    `steps` it has done, as far as those who run count their tokens by them."""

    prefill_tokens: int
    step_s: float
    decode_step_s: float
    decoding_s: float
    steps: int = 0


# Not frozen, which would cost three times as much: live, one is made of each at every prompt.
@dataclass(slots=True)
class Running:
    """An answer that decodes: due as a whole at `due_at`, or, where it is read along, its first
    token then and each later one `tpot_s` after the one before.

    It has given as many tokens as its engine has done steps, and `ahead` more.
    """

    due_at: float
    tpot_s: float | None
    predicted_tokens: int
    ahead: int

    @classmethod
    def of(cls, task: Task, ahead: int) -> "Running | None":
        """None for a task that was promised no more than its first token."""
        promise, tokens = task.promise, task.prediction.output_tokens_p50
        if promise.e2e_s is not None:
            return cls(task.received_at + promise.e2e_s, None, tokens, ahead)
        if promise.ttft_s is None or promise.tpot_s is None:
            return None
        return cls(task.received_at + promise.ttft_s, promise.tpot_s, tokens, ahead)


class Feeding(NamedTuple):
    """`enter` are places in the local backlog; without news, ask again after `again_s`."""

    enter: tuple[int, ...] = ()
    again_s: float = math.inf


class Feeder(Protocol):
    """Pure and without memory."""

    def feed(
        self,
        waiting: Sequence[Task],
        running: Iterable[Running],
        engine: EngineNow,
        *,
        now: float,
        free: int,
    ) -> Feeding:
        """Who enters now, at most `free`. `waiting` is never empty and `free` never 0."""
        ...


class FirstComeFirstServed:
    """Good where the scheduler sends no more than the engine can take."""

    @classmethod
    def of(cls, profile: EngineProfile) -> Self:
        return cls()

    def feed(
        self,
        waiting: Sequence[Task],
        running: Iterable[Running],
        engine: EngineNow,
        *,
        now: float,
        free: int,
    ) -> Feeding:
        return Feeding(enter=tuple(range(min(free, len(waiting)))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One prompt at a time, and first a few steps without any while a running promise is at risk.

    Short ones enter together, as long as they add no more than `shared_s` to the step.
    A whole answer is at risk when it needs steps shorter than `share` of the recent average; no
    prompt is held back for fewer than `company` of them, since each step serves all. A paced one is
    at risk when the step that prefills the prompt would bring its next token too late. An answer is
    lost when it needs steps shorter than `lost` that only decode: others are waiting too. One that
    is longer than predicted is taken to go on for `tail` of the prediction. Nobody is held for
    longer than `steps` steps of decoding, nor whose own first token would then be late.
    """

    prefill_s: float
    chunk_tokens: int
    shared_s: float
    share: float = 0.95
    company: int = 3
    lost: float = 1.6
    tail: float = 0.15
    steps: float = 4.0

    @classmethod
    def of(cls, profile: EngineProfile) -> Self:
        return cls(
            prefill_s=profile.step_time.prefill_s,
            chunk_tokens=profile.chunk_tokens,
            shared_s=profile.shared_s(SHARING),
        )

    def feed(
        self,
        waiting: Sequence[Task],
        running: Iterable[Running],
        engine: EngineNow,
        *,
        now: float,
        free: int,
    ) -> Feeding:
        left_s = self.prefill_s * engine.prefill_tokens
        together = self._together(waiting[:free], left_s)
        if left_s > _EARLY_S and not together:
            return Feeding(again_s=left_s - _EARLY_S / 2)
        entering = max(1, together)
        next_ones = waiting[:entering]
        if self._can_be_held(next_ones, engine, now):
            tokens = sum(task.prediction.prompt_tokens for task in next_ones)
            step_s = engine.decode_step_s + self.prefill_s * min(tokens, self.chunk_tokens)
            if self._is_any_at_risk(running, step_s, engine, now):
                return Feeding(again_s=engine.decode_step_s)
        return Feeding(enter=tuple(range(entering)))

    def _together(self, waiting: Sequence[Task], inside_s: float) -> int:
        """How many of them may share a step with what is inside."""
        for number, task in enumerate(waiting):
            inside_s += self.prefill_s * task.prediction.prompt_tokens
            if inside_s > self.shared_s:
                return number
        return len(waiting)

    def _can_be_held(self, waiting: Sequence[Task], engine: EngineNow, now: float) -> bool:
        """For all these steps, and each of them still be on time with its first token?"""
        held_s = self.steps * engine.decode_step_s
        if engine.decoding_s >= held_s:
            return False
        for task in waiting:
            promise, tokens = task.promise, task.prediction.prompt_tokens
            if promise.ttft_s is None:
                continue
            steps = -(-tokens // self.chunk_tokens)
            first_s = steps * engine.decode_step_s + self.prefill_s * tokens
            if task.received_at + promise.ttft_s - now < held_s + first_s:
                return False
        return True

    def _is_any_at_risk(
        self, running: Iterable[Running], step_s: float, engine: EngineNow, now: float
    ) -> bool:
        decode_step_s, steps = engine.decode_step_s, engine.steps
        lost_s, tight_s = self.lost * decode_step_s, self.share * engine.step_s
        at_risk = 0
        for each in running:
            tokens = each.ahead + steps
            if each.tpot_s is not None:
                if decode_step_s < each.due_at + each.tpot_s * tokens - now < step_s:
                    return True
                continue
            left, least = each.predicted_tokens - tokens, self.tail * each.predicted_tokens
            left_s = each.due_at - now
            if lost_s < left_s / (left if left > least else max(least, 1)) < tight_s:
                at_risk += 1
                if at_risk == self.company:
                    return True
        return False


FEEDERS: Final[Mapping[str, Callable[[EngineProfile], Feeder]]] = {
    "fcfs": FirstComeFirstServed.of,
    "holding": Holding.of,
}
