"""The gate between a worker's local backlog and its engine; a pure feeder says when it opens."""

import asyncio
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from services.worker.engine import Engine
from services.worker.roster import Roster, Run
from services.worker.speedometer import measured
from shared.domain.clock import Clock
from shared.messages.pool import EngineLoad
from shared.scheduling.feeding import EngineNow, Feeder, Running
from shared.scheduling.step_time import EngineProfile

# What a timer of the loop can tell apart; asking sooner would only spin.
_BREATH_S: Final = 0.001
# A prompt let in now is in time for a step that begins so much later. Whoever is let in after the
# last step has begun waits for a whole step in which nothing is prefilled.
_LEAD_S: Final = 0.004


@dataclass(slots=True)
class Prefilled:
    """`at` is when the engine has last been seen, or is expected, to prefill; whom it was given at
    `entered_at` it may not count yet."""

    at: float = 0.0
    entered_at: float = 0.0

    def enter(self, prefill_s: float, now: float) -> None:
        self.at = max(now, self.at) + prefill_s
        self.entered_at = now

    def see(self, left_s: float, now: float) -> None:
        if now - self.entered_at > _LEAD_S:
            self.at = now + left_s if left_s else min(self.at, now)


@dataclass(slots=True, kw_only=True)
class Gate:
    feeder: Feeder
    engine: Engine
    clock: Clock
    roster: Roster
    prefilled: Prefilled = field(default_factory=Prefilled)
    timer: asyncio.TimerHandle | None = None

    def entering(self, free: int, ask_again: Callable[[], None]) -> Sequence[Run]:
        """Who enters now; without news `ask_again` is called when the feeder wants it."""
        now, waiting = self.clock.now(), tuple(self.roster.waiting.values())
        fed = self.feeder.feed(
            [run.task for run in waiting],
            _promised(self.roster),
            self._engine_now(now),
            now=now,
            free=free,
        )
        entering = [waiting[place] for place in fed.enter]
        profile = measured(self.engine.profile, self.engine.load())
        if entering:
            tokens = sum(run.prefill_tokens for run in entering)
            self.prefilled.enter(profile.first_token_s(tokens), now)
        self._ask_again(min(fed.again_s, self._next_s(entering, waiting)), ask_again)
        return entering

    def residual_s(self) -> float:
        """How long the engine will still prefill what this worker has taken on."""
        load = self.engine.load()
        profile = measured(self.engine.profile, load)
        tokens = load.prefill_tokens + sum(
            run.prefill_tokens for run in self.roster.waiting.values()
        )
        steps = -(-tokens // profile.chunk_tokens)
        later_s = profile.step_time.prefill_s * tokens + steps * _decode_step_s(profile, load)
        return load.step_left_s + later_s

    def _engine_now(self, now: float) -> EngineNow:
        load = self.engine.load()
        profile = measured(self.engine.profile, load)
        prefill_s = profile.step_time.prefill_s
        self.prefilled.see(load.step_left_s + prefill_s * load.prefill_tokens, now)
        left_s = self.prefilled.at - (now + _LEAD_S)
        return EngineNow(
            prefill_tokens=round(max(0.0, left_s) / prefill_s) if prefill_s else 0,
            step_s=load.step_s,
            decode_step_s=_decode_step_s(profile, load),
            decoding_s=max(0.0, -left_s),
        )

    def _next_s(self, entering: Sequence[Run], waiting: Sequence[Run]) -> float:
        """Whoever follows one that enters is asked for when its prompt is through."""
        if not entering or len(entering) == len(waiting):
            return math.inf
        return self.prefilled.at - self.clock.now()

    def _ask_again(self, after_s: float, ask: Callable[[], None]) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if math.isfinite(after_s):
            loop = asyncio.get_running_loop()
            self.timer = loop.call_later(max(_BREATH_S, after_s), ask)


def _promised(roster: Roster) -> Iterator[Running]:
    """Those who decode and were promised more than a first token."""
    for run in roster.running.values():
        running = Running.of(run.task, run.tokens)
        if running is not None and run.first_token_at is not None:
            yield running


def _decode_step_s(profile: EngineProfile, load: EngineLoad) -> float:
    step = profile.step_time
    return step.base_s + step.decode_s * load.running + step.kv_s * load.kv_tokens
