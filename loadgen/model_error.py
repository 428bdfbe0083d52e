"""How wrong is the cost model? All is foretold before it is learned, in the order it came in."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, median
from typing import Final

from pydantic import ValidationError

from loadgen.report.statistics import nearest_rank
from loadgen.workloads.errors import WorkloadError
from shared.messages.timings import StepTimed, TaskServed, Timed
from shared.scheduling.estimate import EngineState, estimate
from shared.scheduling.fitting import StepFit, Timing
from shared.scheduling.lengths import OutputLengths
from shared.scheduling.step_time import EngineProfile, StepTime
from shared.tasks import TASKS

STEP: Final = "step time"
TTFT: Final = "TTFT"
E2E: Final = "E2E, length known"
E2E_BLIND: Final = "E2E"
LENGTH: Final = "output length"
LEARNED: Final = "learned online"
PRIOR: Final = "prior"
CONSTANT: Final = "tuned constant"


class RecordingUnreadable(WorkloadError):
    """No recording of a worker's timings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRow:
    """Relative errors, |foretold - true| / true, of the second half of a recording."""

    quantity: str
    model: str
    mean: float
    p50: float
    p95: float
    count: int


def read_timings(file: Path) -> list[Timed]:
    """Raises RecordingUnreadable, which names the line."""
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise RecordingUnreadable(f"{file}: {error.strerror}") from error
    timed: list[Timed] = []
    for number, line in enumerate(lines, start=1):
        try:
            timed.append(Timed.model_validate_json(line))
        except ValidationError as error:
            raise RecordingUnreadable(
                f"{file}, line {number}: expected a timing as CATO_RECORD_STEPS writes it: "
                f"{error.errors()[0]['msg']}"
            ) from error
    return timed


def errors(recordings: Iterable[Sequence[Timed]], profile: EngineProfile) -> list[ErrorRow]:
    """Each recording is one worker's. Constants are tuned on its first half: the medians there."""
    seen: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for timed in recordings:
        for quantity, model, error in _errors_in(timed, profile):
            seen[quantity, model].append(error)
    return [_row(*key, found) for key, found in seen.items()]


def _row(quantity: str, model: str, found: Sequence[float]) -> ErrorRow:
    return ErrorRow(
        quantity=quantity,
        model=model,
        mean=fmean(found),
        p50=nearest_rank(sorted(found), 0.5),
        p95=nearest_rank(sorted(found), 0.95),
        count=len(found),
    )


def _errors_in(timed: Sequence[Timed], profile: EngineProfile) -> Iterator[tuple[str, str, float]]:
    half = len(timed) // 2
    constants = _constants(timed[:half])
    replay = _Replay(profile=profile)
    for number, line in enumerate(timed):
        for quantity, true, told in replay.foretold(line):
            constant = constants(quantity, line)
            # All are judged on the same lines: those that there is a constant for.
            if number < half or true <= 0 or constant is None:
                continue
            for model, value in {**told, CONSTANT: constant}.items():
                yield quantity, model, abs(value - true) / true
        replay.learn(line)


_Foretold = tuple[str, float, Mapping[str, float]]


@dataclass(slots=True, kw_only=True)
class _Replay:
    """`past` holds what was believed of the steps at each moment of engine time: a task that ends
    now was foretold with what was known when it entered."""

    profile: EngineProfile
    busy_s: float = 0.0
    fit: StepFit = field(init=False)
    prior: StepFit = field(init=False)
    lengths: OutputLengths = field(init=False)
    past: deque[tuple[float, StepTime]] = field(default_factory=lambda: deque(maxlen=20_000))

    def __post_init__(self) -> None:
        self.fit = StepFit(prior=self.profile.step_time)
        self.prior = StepFit(prior=self.profile.step_time)
        self.lengths = OutputLengths({kind: task.prior for kind, task in TASKS.items()})

    def foretold(self, line: Timed) -> Iterator[_Foretold]:
        """What came, its true value, and what each model said before."""
        if line.step is not None:
            timing = _timing(line.step)
            told = {LEARNED: self.fit.foretold_s(timing), PRIOR: self.prior.foretold_s(timing)}
            yield STEP, timing.took_s, told
        if line.served is not None and line.served.kind in TASKS:
            yield from self._served(line.served)

    def learn(self, line: Timed) -> None:
        if line.step is not None:
            self.fit.learn(_timing(line.step))
            self.busy_s += line.step.took_s
            self.past.append((self.busy_s, self.fit.step_time()))
        served = line.served
        if served is not None and served.kind in TASKS:
            self.lengths.learn(
                served.kind, prompt_tokens=served.prompt_tokens, output_tokens=served.output_tokens
            )

    def _served(self, served: TaskServed) -> Iterator[_Foretold]:
        known = self._believed_at(self.busy_s - served.finish_s)
        prior = self.profile.step_time
        said = self.lengths.predict(served.kind, served.prompt_tokens).output_tokens_p50
        catalogue = TASKS[served.kind].prior.output_tokens_p50
        first = {LEARNED: self._told(known, served, 1)[0], PRIOR: self._told(prior, served, 1)[0]}
        yield TTFT, served.first_token_s, first
        for quantity, learned, given in (
            (E2E, served.output_tokens, served.output_tokens),
            (E2E_BLIND, said, catalogue),
        ):
            whole = {
                LEARNED: self._told(known, served, learned)[1],
                PRIOR: self._told(prior, served, given)[1],
            }
            yield quantity, served.finish_s, whole
        yield LENGTH, served.output_tokens, {LEARNED: said, PRIOR: catalogue}

    def _told(self, time: StepTime, served: TaskServed, tokens: int) -> tuple[float, float]:
        profile = replace(self.profile, step_time=time)
        state = EngineState(
            step_left_s=served.held_step_left_s,
            prefill_tokens=served.held_prefill_tokens,
            sequences=served.held_sequences,
            kv_tokens=served.held_kv_tokens,
            step_s=served.recent_step_s,
        )
        told = estimate(profile, state, prompt_tokens=served.prompt_tokens, output_tokens=tokens)
        return told.first_token_s, told.finish_s

    def _believed_at(self, busy_s: float) -> StepTime:
        for at, step_time in reversed(self.past):
            if at <= busy_s:
                return step_time
        return self.profile.step_time


def _constants(training: Sequence[Timed]) -> Callable[[str, Timed], float | None]:
    """The medians of the first half, for tasks those of their kind; None where there was none."""
    steps = [line.step.took_s / line.step.steps for line in training if line.step is not None]
    by_kind: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for line in training:
        if line.served is not None:
            for quantity, value in _truths(line.served):
                by_kind[quantity, line.served.kind].append(value)
    medians = {key: median(values) for key, values in by_kind.items()}
    step_s = median(steps) if steps else None

    def constant(quantity: str, line: Timed) -> float | None:
        if line.served is not None:
            return medians.get((quantity, line.served.kind))
        return None if step_s is None or line.step is None else step_s * line.step.steps

    return constant


def _truths(served: TaskServed) -> Iterator[tuple[str, float]]:
    yield TTFT, served.first_token_s
    yield E2E, served.finish_s
    yield E2E_BLIND, served.finish_s
    yield LENGTH, served.output_tokens


def _timing(step: StepTimed) -> Timing:
    return Timing(
        took_s=step.took_s,
        prefill_tokens=step.prefill_tokens,
        prefill_context=step.prefill_context,
        sequences=step.sequences,
        kv_tokens=step.kv_tokens,
        steps=step.steps,
    )
