"""How fast a server steps, from all that can be seen of it: when the tokens of each answer come."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from services.worker.engine import Job, JobId
from services.worker.speedometer import Speedometer
from shared.domain.clock import Clock
from shared.scheduling.fitting import Timing
from shared.scheduling.step_time import EngineProfile

_MEAN_WEIGHT: Final = 0.1


@dataclass(slots=True)
class _Stream:
    """`is_alone`: nobody else was in prefill while it was."""

    prompt_tokens: int
    since: float
    is_alone: bool
    tokens: int = 0


@dataclass(slots=True, kw_only=True)
class VisiblePace:
    """Two kinds of timing can be told apart: a prompt that was prefilled while no other was, and
    the tokens of the oldest answer while nothing was prefilled; all others are left out.

    `step_s` is a moving average of what lies between two tokens.
    """

    profile: EngineProfile
    speed: Speedometer
    clock: Clock
    step_s: float = 0.0
    _streams: dict[JobId, _Stream] = field(default_factory=dict)
    _entered_at: float = 0.0

    @classmethod
    def of(cls, profile: EngineProfile, clock: Clock, record_to: Path | None) -> Self:
        return cls(profile=profile, speed=Speedometer.of(profile, record_to), clock=clock)

    def enter(self, job: Job) -> None:
        prefilling = [stream for stream in self._streams.values() if not stream.tokens]
        for stream in prefilling:
            stream.is_alone = False
        self._entered_at = now = self.clock.monotonic()
        self._streams[job.id] = _Stream(job.prediction.prompt_tokens, now, not prefilling)

    def leave(self, job_id: JobId) -> None:
        self._streams.pop(job_id, None)

    def note(self, job_id: JobId, tokens: int) -> None:
        """So many tokens of one answer have come."""
        stream = self._streams.get(job_id)
        if stream is None or tokens < 1:
            return
        now = self.clock.monotonic()
        took_s = now - stream.since
        if not stream.tokens:
            self._note_prompt(stream, took_s)
        else:
            self.step_s += _MEAN_WEIGHT * (took_s / tokens - self.step_s)
            self._note_tokens(job_id, stream, took_s, tokens)
        stream.tokens += tokens
        stream.since = now

    def _note_prompt(self, stream: _Stream, took_s: float) -> None:
        if stream.is_alone:
            steps = max(1, -(-stream.prompt_tokens // self.profile.chunk_tokens))
            self.speed.note(self._timing(took_s, steps, stream.prompt_tokens))

    def _note_tokens(self, job_id: JobId, stream: _Stream, took_s: float, tokens: int) -> None:
        is_oldest = next(iter(self._streams)) == job_id
        if is_oldest and self._entered_at < stream.since and self._is_decoding():
            self.speed.note(self._timing(took_s, tokens, 0))

    def _is_decoding(self) -> bool:
        return all(stream.tokens for stream in self._streams.values())

    def _timing(self, took_s: float, steps: int, prompt_tokens: int) -> Timing:
        decoding = [stream for stream in self._streams.values() if stream.tokens]
        held = sum(stream.prompt_tokens + stream.tokens for stream in decoding)
        return Timing(
            took_s=took_s,
            prefill_tokens=prompt_tokens,
            prefill_context=self.profile.prefill_context(prompt_tokens),
            sequences=steps * len(decoding),
            kv_tokens=steps * held,
            steps=steps,
        )
