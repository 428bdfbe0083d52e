"""A mix says what people ask for, how often, and how long questions and answers are."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

Route = Literal["/v1/completions", "/v1/chat/completions", "/v1/tasks"]

COMPLETION: Final = "completion"
GENERATION: Final = "generation"
SUMMARIZATION: Final = "summarization"
TRANSLATION: Final = "translation"

ROUTES: Final[Mapping[str, Route]] = {
    COMPLETION: "/v1/completions",
    GENERATION: "/v1/chat/completions",
    SUMMARIZATION: "/v1/chat/completions",
    TRANSLATION: "/v1/chat/completions",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Lognormal, then clipped: what falls outside is moved to the nearer bound."""

    median: float
    sigma: float
    low: int
    high: int

    def draw(self, rng: Random) -> int:
        return self.clip(round(self.median * math.exp(rng.gauss(0, self.sigma))))

    def clip(self, tokens: int) -> int:
        return min(max(tokens, self.low), self.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class KindMix:
    """`batch_share` of these requests come without a promise."""

    name: str
    share: float
    prompt_tokens: Lengths
    output_tokens: Lengths
    route: Route
    batch_share: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    name: str
    kinds: tuple[KindMix, ...]

    def weights(self) -> tuple[float, ...]:
        """Shares need not add up to 1."""
        return tuple(kind.share for kind in self.kinds)


PROMPT_BOUNDS: Final = (16, 8_000)
OUTPUT_BOUNDS: Final = (1, 4_000)


def lengths(median: float, sigma: float, bounds: tuple[int, int]) -> Lengths:
    return Lengths(median=median, sigma=sigma, low=bounds[0], high=bounds[1])


def _usual(
    name: str, share: float, prompt: tuple[float, float], output: tuple[float, float]
) -> KindMix:
    return KindMix(
        name=name,
        share=share,
        prompt_tokens=lengths(*prompt, PROMPT_BOUNDS),
        output_tokens=lengths(*output, OUTPUT_BOUNDS),
        route=ROUTES[name],
    )


REFERENCE: Final = Mix(
    name="reference",
    kinds=(
        _usual(COMPLETION, 0.60, (1_400, 0.9), (14, 0.8)),
        _usual(GENERATION, 0.20, (500, 0.8), (250, 0.7)),
        _usual(SUMMARIZATION, 0.12, (1_200, 0.8), (120, 0.5)),
        _usual(TRANSLATION, 0.08, (900, 0.7), (700, 0.6)),
    ),
)
EDITOR: Final = Mix(
    name="editor",
    kinds=(_usual(COMPLETION, 1.0, (1_400, 0.9), (14, 0.8)),),
)
# A conversation that goes on, an editor whose file is cached: little is left to prefill.
SHORT: Final = Mix(
    name="short",
    kinds=(
        _usual(COMPLETION, 0.60, (280, 0.9), (14, 0.8)),
        _usual(GENERATION, 0.20, (100, 0.8), (250, 0.7)),
        _usual(SUMMARIZATION, 0.12, (240, 0.8), (120, 0.5)),
        _usual(TRANSLATION, 0.08, (180, 0.7), (700, 0.6)),
    ),
)
MIXES: Final[Mapping[str, Mix]] = {mix.name: mix for mix in (REFERENCE, SHORT, EDITOR)}
