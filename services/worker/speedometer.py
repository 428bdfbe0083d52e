"""How fast an engine steps: fitted to its own timings, told in reports, written down if asked."""

import logging
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final, Self

from services.worker.roster import Run
from shared.domain.errors import SettingsError
from shared.messages.pool import EngineLoad, FittedSteps
from shared.messages.timings import StepTimed, TaskServed, Timed
from shared.scheduling.fitting import StepFit, Timing
from shared.scheduling.step_time import EngineProfile, StepTime

log = logging.getLogger(__name__)

# Steps of so long are learned of together: a late timer makes one step longer and the next one
# shorter, and learned one by one that would look like engines that are faster than they are.
_TOGETHER_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Recording:
    """Whole lines are appended at once, so that the engine and the worker can share a file."""

    path: Path | None = None

    @classmethod
    def to(cls, folder: Path | None) -> Self:
        """A file of this process' own. Raises SettingsError where it cannot be written."""
        if folder is None:
            return cls()
        path = folder / f"steps-{os.getpid()}.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.touch()
        except OSError as error:
            raise SettingsError(f"CATO_RECORD_STEPS: {path}: {error.strerror}") from error
        return cls(path)

    def note(self, timed: Timed) -> None:
        """A disk that is full later costs the line, never the answer."""
        if self.path is None:
            return
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(timed.model_dump_json(exclude_none=True) + "\n")
        except OSError as error:
            log.warning("timing not recorded", extra={"error": str(error)})

    def served(self, run: Run, held: EngineLoad) -> None:
        """`held`: what the engine had just before it entered."""
        if self.path is None or run.usage is None or run.started_at is None:
            return
        if run.first_token_at is None or run.last_token_at is None:
            return
        served = TaskServed(
            kind=run.task.kind,
            prompt_tokens=run.usage.prompt_tokens,
            output_tokens=run.usage.completion_tokens,
            expected_tokens=run.task.prediction.output_tokens_p50,
            first_token_s=run.first_token_at - run.started_at,
            finish_s=run.last_token_at - run.started_at,
            held_step_left_s=held.step_left_s,
            held_prefill_tokens=held.prefill_tokens,
            held_sequences=held.running,
            held_kv_tokens=held.kv_tokens,
            recent_step_s=held.step_s,
        )
        self.note(Timed(served=served))


@dataclass(slots=True, kw_only=True)
class Speedometer:
    fit: StepFit
    recording: Recording = field(default_factory=Recording)
    _told: FittedSteps | None = None
    _pending: Timing | None = None

    @classmethod
    def of(cls, profile: EngineProfile, record_to: Path | None = None) -> Self:
        return cls(fit=StepFit(prior=profile.step_time), recording=Recording.to(record_to))

    def note(self, timing: Timing) -> None:
        if self._pending is not None:
            timing = self._pending.and_then(timing)
        if timing.took_s < _TOGETHER_S:
            self._pending = timing
            return
        self._pending = None
        self._learn(timing)

    def fitted(self) -> FittedSteps | None:
        """None before anything was timed."""
        if self._told is None and self.fit.learned:
            step = self.fit.step_time()
            self._told = FittedSteps(
                base_s=step.base_s,
                prefill_s=step.prefill_s,
                attention_s=step.attention_s,
                decode_s=step.decode_s,
                kv_s=step.kv_s,
                error=self.fit.error,
                timings=self.fit.learned,
            )
        return self._told

    def _learn(self, timing: Timing) -> None:
        self.fit.learn(timing)
        self._told = None
        if self.recording.path is not None and timing.is_sane():
            self.recording.note(Timed(step=StepTimed(**asdict(timing))))


def measured(profile: EngineProfile, load: EngineLoad) -> EngineProfile:
    """The profile with the step time that the engine's own timings say."""
    fitted = load.fitted
    if fitted is None:
        return profile
    step_time = StepTime(
        base_s=fitted.base_s,
        prefill_s=fitted.prefill_s,
        attention_s=fitted.attention_s,
        decode_s=fitted.decode_s,
        kv_s=fitted.kv_s,
    )
    return replace(profile, step_time=step_time)
