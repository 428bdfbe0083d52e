"""Chains as their clients ask for them: a recipe, what it works on, and how long each answer is.

Sources of the lengths: code, summaries and translations are as long as those of the reference mix;
a repair writes the whole draft again. Whether a draft parses is a coin of the workload.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from loadgen.workloads.arrival import Arrival
from loadgen.workloads.mixes import (
    OUTPUT_BOUNDS,
    PROMPT_BOUNDS,
    REFERENCE,
    TRANSLATION,
    KindMix,
    Lengths,
    Mix,
    lengths,
)
from shared.tasks.chain import Chain, given_of, tokens_in
from shared.tasks.recipes import RECIPES

DOCUMENTATION: Final = "documentation"
CHAINS: Final = Mix(
    name="chains",
    kinds=(
        *REFERENCE.kinds,
        KindMix(
            name=DOCUMENTATION,
            share=0.01,
            prompt_tokens=lengths(1_200, 0.8, PROMPT_BOUNDS),
            output_tokens=lengths(500, 0.7, OUTPUT_BOUNDS),
            route="/v1/tasks",
        ),
    ),
)

_SUMMARY: Final = Lengths(median=120, sigma=0.5, low=1, high=256)
_REPAIRED: Final = 0.1
_NOT_PARSED: Final = 0.3
_FILES: Final = (3, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainArrival:
    """`answer_tokens`: the true lengths by stage and branch; none for a stage that is left out."""

    at_s: float
    kind: str
    tenant: str
    plan: Chain
    answer_tokens: tuple[tuple[int, ...], ...]

    def stages(self) -> tuple[int, ...]:
        """Those that will run, in order."""
        return tuple(at for at, answers in enumerate(self.answer_tokens) if answers)

    def answers(self, before: int) -> Mapping[int, tuple[str, ...]]:
        """What the stages before that one said, as texts of that length."""
        return {
            at: tuple(map(text_of, self.answer_tokens[at])) for at in self.stages() if at < before
        }

    def calls(self, stage: int) -> tuple[Arrival, ...]:
        """One for each branch of a stage, as if it came with the chain."""
        prompts = self.plan.prompts(stage, self.answers(stage))
        return tuple(
            Arrival(
                at_s=self.at_s,
                kind=self.plan.stages[stage].kind,
                route="/v1/tasks",
                prompt_tokens=max(1, tokens_in(prompt)),
                output_tokens=answer,
                tenant=self.tenant,
                cut=0,
                seed=0,
            )
            for prompt, answer in zip(prompts, self.answer_tokens[stage], strict=True)
        )


def text_of(tokens: int) -> str:
    """Some text that is counted as so many tokens."""
    return "x" * round(tokens * _CHARS)


_CHARS: Final = 1_000_000 / tokens_in("x" * 1_000_000)


def chained(
    arrivals: Iterable[Arrival], seed: int
) -> tuple[Sequence[Arrival], Sequence[ChainArrival]]:
    """The single requests, and a chain for each translation and each documentation.

    What a translation asks about is its code, and its answer the draft; of a documentation it is
    each file on average, and its answer the overview.
    """
    rng = Random(f"{seed}/chains")
    singles, chains = [], []
    for arrival in arrivals:
        if arrival.kind == TRANSLATION:
            chains.append(_translation(arrival, rng))
        elif arrival.kind == DOCUMENTATION:
            chains.append(_documentation(arrival, rng))
        else:
            singles.append(arrival)
    return singles, chains


def _translation(arrival: Arrival, rng: Random) -> ChainArrival:
    stages = RECIPES[TRANSLATION].stages
    draft = arrival.output_tokens
    repaired = round(draft * math.exp(rng.gauss(0, _REPAIRED)))
    answers = (_SUMMARY.draw(rng), draft, repaired)
    said = tuple(
        (min(tokens, stage.max_tokens),) for tokens, stage in zip(answers, stages, strict=True)
    )
    is_parsed = rng.random() >= _NOT_PARSED
    given = given_of(
        code=text_of(arrival.prompt_tokens), instruction=None, language="java", target="python"
    )
    return ChainArrival(
        at_s=arrival.at_s,
        kind=arrival.kind,
        tenant=arrival.tenant,
        plan=Chain(stages=stages, given=given),
        answer_tokens=(*said[:2], () if is_parsed else said[2]),
    )


def _documentation(arrival: Arrival, rng: Random) -> ChainArrival:
    summaries, overview = RECIPES[DOCUMENTATION].stages
    count = rng.randint(*_FILES)
    files = tuple(text_of(tokens) for tokens in _around(arrival.prompt_tokens, count, rng))
    said = tuple(_SUMMARY.draw(rng) for _ in range(count))
    return ChainArrival(
        at_s=arrival.at_s,
        kind=arrival.kind,
        tenant=arrival.tenant,
        plan=Chain(stages=(replace(summaries, over=files), overview)),
        answer_tokens=(said, (min(arrival.output_tokens, overview.max_tokens),)),
    )


def _around(tokens: int, count: int, rng: Random) -> Iterator[int]:
    """Files of one repository are of different sizes."""
    low, high = PROMPT_BOUNDS
    return (min(high, max(low, round(tokens * rng.uniform(0.5, 1.5)))) for _ in range(count))
