"""How fast an engine steps is learned from its own timings, and forgotten as engines change."""

from dataclasses import dataclass, field
from math import isfinite
from typing import Final

from shared.scheduling.linear import Vector, nonnegative_solution
from shared.scheduling.step_time import StepTime

# What a coefficient counts as when the prior has none: a share of what the prior takes for a step
# or a token, small enough to be nothing and large enough to grow from.
_LEAST_SHARE: Final = 1e-2
_LEAST_STEP_S: Final = 1e-3
# A context of so many tokens would double the cost of a prompt's token.
_LONG_CONTEXT: Final = 200_000
_LEAST_S: Final = 1e-6
_ABSURD: Final = 1e15
# The prior weighs as much as so large a share of one average timing, for ever.
_PRIOR: Final = 0.005
# An error of more than so many usual ones pulls no harder than that (Huber, 1964).
_HUBER: Final = 2.5
_FAST, _SLOW = 0.05, 0.005
_STARTLED: Final = 2.0
_SOLVE_EVERY: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What `steps` steps did and how long they took; counts are sums over the steps.

    `prefill_context` is Σ over chunks of chunk tokens · tokens already in the cache.
    """

    took_s: float
    prefill_tokens: float
    prefill_context: float
    sequences: float
    kv_tokens: float
    steps: float = 1.0

    def is_sane(self) -> bool:
        counts = self.features()
        if not all(map(isfinite, (self.took_s, *counts))):
            return False
        is_positive = self.took_s > 0 and self.steps > 0 and min(counts) >= 0
        return is_positive and max(self.took_s, *counts) < _ABSURD

    def and_then(self, other: "Timing") -> "Timing":
        """Both as one."""
        return Timing(
            took_s=self.took_s + other.took_s,
            prefill_tokens=self.prefill_tokens + other.prefill_tokens,
            prefill_context=self.prefill_context + other.prefill_context,
            sequences=self.sequences + other.sequences,
            kv_tokens=self.kv_tokens + other.kv_tokens,
            steps=self.steps + other.steps,
        )

    def features(self) -> Vector:
        """In the order of the formula of the step time."""
        return (
            self.steps,
            self.prefill_tokens,
            self.prefill_context,
            self.sequences,
            self.kv_tokens,
        )


@dataclass(slots=True, kw_only=True)
class StepFit:
    """Recursive least squares over relative errors, with coefficients that are never negative.

    Keeps the normal equations, in units of the prior's own coefficients. Each timing makes older
    ones count less, down to the prior and never below it (stabilised forgetting: Kulhavý and
    Zarrop, 1993), so that what no timing excites returns to the prior instead of drifting away.
    After `memory` timings one counts a third; while errors are far above what was usual, sooner.
    `error` is the typical relative error of a timing foretold before it was learned.
    """

    prior: StepTime
    memory: float = 75.0
    learned: int = 0
    error: float = 0.1
    _usual: float = 0.1
    _units: Vector = field(init=False)
    _known: list[float] = field(init=False)
    _gram: list[list[float]] = field(init=False)
    _moment: list[float] = field(init=False)
    _prior_moment: Vector = field(init=False)

    def __post_init__(self) -> None:
        given = self.prior.coefficients()
        self._units = _units(self.prior)
        self._known = [value / unit for value, unit in zip(given, self._units, strict=True)]
        size = range(len(given))
        self._gram = [[_PRIOR if row == column else 0.0 for column in size] for row in size]
        self._prior_moment = tuple(_PRIOR * value for value in self._known)
        self._moment = list(self._prior_moment)

    def foretold_s(self, timing: Timing) -> float:
        known, units = self._known, self._units
        return sum(x * k * u for x, k, u in zip(timing.features(), known, units, strict=True))

    def step_time(self) -> StepTime:
        return StepTime.of([k * u for k, u in zip(self._known, self._units, strict=True)])

    def learn(self, timing: Timing) -> None:
        """Nonsense is not learned from."""
        if not timing.is_sane():
            return
        foretold_s = self.foretold_s(timing)
        # Errors are shares of the larger of both, so that one of a million counts as one of ten.
        scale_s = max(_LEAST_S, foretold_s, timing.took_s)
        row = [x * u / scale_s for x, u in zip(timing.features(), self._units, strict=True)]
        weight = self._trust(abs(timing.took_s - foretold_s) / scale_s)
        self._add(row, timing.took_s / scale_s, weight)
        self.learned += 1
        if self.learned % _SOLVE_EVERY == 0:
            self._known = nonnegative_solution(self._gram, self._moment)

    def _trust(self, error: float) -> float:
        """The weight of a timing that was so far off; learns how far off is usual."""
        bound = _HUBER * max(self.error, 1e-3)
        seen = min(error, 2 * bound)
        self.error += _FAST * (seen - self.error)
        self._usual += _SLOW * (seen - self._usual)
        return min(1.0, bound / error) if error else 1.0

    def _add(self, row: list[float], took: float, weight: float) -> None:
        is_startled = self.error > _STARTLED * self._usual
        fades = 1.0 / (self.memory / 10 if is_startled else self.memory)
        keeps, size = 1.0 - fades, range(len(row))
        for i in size:
            gram, pull = self._gram[i], weight * row[i]
            for j in size:
                gram[j] = keeps * gram[j] + pull * row[j]
            gram[i] += fades * _PRIOR
            self._moment[i] = keeps * self._moment[i] + fades * self._prior_moment[i] + pull * took


def _units(prior: StepTime) -> Vector:
    """What each coefficient is measured in: the prior's own, where it has one."""
    base_s = max(prior.base_s, _LEAST_STEP_S)
    prefill_s = max(prior.prefill_s, _LEAST_SHARE * base_s)
    return (
        base_s,
        prefill_s,
        prior.attention_s or prefill_s / _LONG_CONTEXT,
        prior.decode_s or _LEAST_SHARE * base_s,
        prior.kv_s or _LEAST_SHARE**3 * base_s,
    )
