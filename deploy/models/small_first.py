"""What asking a small model first saves: `python -m deploy.models.small_first`.

The embedded model stands for the small one and writes the rest of a line, at the places that
`evaluate` draws; its answers are judged as the ingress judges them, also by how probable the model
finds them. What they cost on GPUs follows from the step times of two profiles; it is a model, not a
measurement.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Final

from deploy.models.architecture import MODEL
from deploy.models.corpus import standard_library
from deploy.models.evaluate import Infill, Share, infills
from services.worker.engine import Engine, Job, JobId, Piece
from services.worker.engines.embedded import EmbeddedEngine
from services.worker.engines.settings import EngineSettings
from shared.adapters.clock import SystemClock
from shared.adapters.profiles import load_profile
from shared.domain.outcome import FinishReason
from shared.messages.body import Body
from shared.messages.logprobs import probability
from shared.scheduling.step_time import EngineProfile
from shared.tasks.completion import COMPLETION
from shared.tasks.gap import Gap

_INFILLS: Final = 1200
# About what an editor sends, and asks for.
_BEFORE_CHARS: Final = 1200
_AFTER_CHARS: Final = 400
_LONGEST_ANSWER_TOKENS: Final = 48
# Code in the vocabularies of the models that the profiles are of.
_CHARS_PER_TOKEN: Final = 4
_TOGETHER: Final = 8
# Of each of the two calls.
_HOPS_S: Final = 0.02
# Of `CATO_SMALL_FIRST_CONFIDENCE`.
_CONFIDENCES: Final = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One completion, in tokens of the profiles' models.

    `small_tokens` is 0 where nobody could judge, so that the small model was not asked;
    `probability` is that of its whole answer, by its own reckoning.
    """

    prompt_tokens: int
    large_tokens: int
    small_tokens: int = 0
    is_whole: bool = False
    fits: bool = False
    is_right: bool = False
    probability: float = 0.0

    def is_kept(self, confidence: float) -> bool:
        return self.fits and self.probability >= confidence


@dataclass(frozen=True, slots=True)
class Trial:
    engine: Engine

    async def run(self, asked: Sequence[Infill]) -> list[Tried]:
        """A few at a time, in their order."""
        done: list[Tried] = []
        for first in range(0, len(asked), _TOGETHER):
            some = enumerate(asked[first : first + _TOGETHER])
            done += await asyncio.gather(*(self._try(JobId(str(n)), infill) for n, infill in some))
        return done

    async def _try(self, job_id: JobId, infill: Infill) -> Tried:
        before, after = infill.before[-_BEFORE_CHARS:], infill.after[:_AFTER_CHARS]
        prompt_tokens, large_tokens = _tokens(before + after), _tokens(infill.wanted)
        gap = Gap.between(before, after)
        if gap is None:
            return Tried(prompt_tokens=prompt_tokens, large_tokens=large_tokens)
        pieces = await self._answer(job_id, before, after)
        said = "".join(piece.text for piece in pieces)
        # Did the model mean it to end there?
        is_whole = pieces[-1].finish_reason is FinishReason.STOP
        return Tried(
            prompt_tokens=prompt_tokens,
            large_tokens=large_tokens,
            small_tokens=_tokens(said),
            is_whole=is_whole,
            fits=is_whole and gap.takes(said),
            is_right=said.rstrip() == infill.wanted.rstrip(),
            probability=probability([each for piece in pieces for each in piece.logprobs]),
        )

    async def _answer(self, job_id: JobId, before: str, after: str) -> list[Piece]:
        """Greedily."""
        body = Body(
            route="completions",
            prompt=before,
            suffix=after,
            max_tokens=_LONGEST_ANSWER_TOKENS,
            temperature=0.0,
            stop=("\n",),
            logprobs=0,
        )
        job = Job(id=job_id, kind=COMPLETION.name, body=body, prediction=COMPLETION.prior)
        return [piece async for piece in self.engine.generate(job)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Two models on GPUs of their own."""

    small: EngineProfile
    large: EngineProfile

    def large_alone_s(self, tried: Tried) -> float:
        return gpu_s(self.large, tried.prompt_tokens, tried.large_tokens)

    def small_first_s(self, tried: Tried, confidence: float = 0.0) -> float:
        small_s = large_s = 0.0
        if tried.small_tokens:
            small_s = gpu_s(self.small, tried.prompt_tokens, tried.small_tokens)
        if not tried.is_kept(confidence):
            large_s = self.large_alone_s(tried)
        return small_s + large_s

    def longest_prompt(self, within_s: float) -> int:
        """Tokens for which, alone, a usual small answer leaves time for a large first token."""

        def fits(tokens: int) -> bool:
            small_s = self.small.alone_s(tokens, COMPLETION.prior.output_tokens_p50)
            return small_s + self.large.first_token_s(tokens) + 2 * _HOPS_S <= within_s

        return max(takewhile(fits, range(0, 32_768, 10)), default=0)


def gpu_s(profile: EngineProfile, prompt_tokens: int, output_tokens: int) -> float:
    """What it takes from the others in its steps, as the scheduler's cost model counts work."""
    step = profile.step_time
    each_s = step.base_s / _TOGETHER + step.decode_s + step.kv_s * prompt_tokens
    return profile.prefill_s(prompt_tokens) + output_tokens * each_s


def rows(all_tried: Sequence[Tried], fleet: Fleet) -> Iterator[tuple[str, object]]:
    asked = [each for each in all_tried if each.small_tokens]
    kept = [each for each in asked if each.fits]
    escalated = [each for each in asked if not each.fits]
    yield "asked of the small model", Share(hits=len(asked), of=len(all_tried))
    yield "its answer was whole", _share([each.is_whole for each in asked])
    yield "its answer fits, and is kept", _share([each.fits for each in asked])
    yield "exactly right, of those kept", _share([each.is_right for each in kept])
    yield "exactly right, of those escalated", _share([each.is_right for each in escalated])
    alone_s = sum(map(fleet.large_alone_s, all_tried)) * 1000 / len(all_tried)
    first_s = sum(map(fleet.small_first_s, all_tried)) * 1000 / len(all_tried)
    yield f"GPU-seconds per 1,000, {fleet.large.name} alone", f"{alone_s:.1f}"
    yield f"GPU-seconds per 1,000, {fleet.small.name} first", f"{first_s:.1f}"
    yield "saved", f"{1 - first_s / alone_s:.0%}"
    for within_s in (0.3, 0.5):
        yield f"longest prompt for both in {within_s:g} s, tokens", fleet.longest_prompt(within_s)


def curve(all_tried: Sequence[Tried], fleet: Fleet) -> Iterator[tuple[object, ...]]:
    """What asking for more confidence keeps, how much of it is right, and what it costs."""
    fitting = [each for each in all_tried if each.fits]
    right = [each for each in fitting if each.is_right]
    yield (
        "confidence",
        "kept, of those that fit",
        "exactly right, of those kept",
        "kept, of those right",
        "GPU-seconds per 1,000",
    )
    for confidence in _CONFIDENCES:
        kept = [each for each in fitting if each.is_kept(confidence)]
        took_s = sum(fleet.small_first_s(each, confidence) for each in all_tried)
        yield (
            f"{confidence:g}",
            _share([each.is_kept(confidence) for each in fitting]),
            _share([each.is_right for each in kept]),
            _share([each.is_kept(confidence) for each in right]),
            f"{took_s * 1000 / len(all_tried):.1f}",
        )


def _share(hits: Sequence[bool]) -> Share | str:
    return Share(hits=sum(hits), of=len(hits)) if hits else "there are none"


def _tokens(text: str) -> int:
    return len(text) // _CHARS_PER_TOKEN + 1


async def trial(model: Path, asked: Sequence[Infill]) -> list[Tried]:
    settings = EngineSettings(engine="embedded", profile="embedded", engine_model=str(model))
    engine = EmbeddedEngine.of(settings, SystemClock())
    await engine.start()
    try:
        return await Trial(engine).run(asked)
    finally:
        await engine.stop()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.models.small_first", description=__doc__
    )
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--infills", type=int, default=_INFILLS)
    parser.add_argument("--small", default="h100-7b", help="profile of the small model")
    parser.add_argument("--large", default="h100-32b", help="profile of the large model")
    options = parser.parse_args()
    fleet = Fleet(small=load_profile(options.small), large=load_profile(options.large))
    asked = list(infills(standard_library(), options.infills))
    all_tried = asyncio.run(trial(options.model, asked))
    sys.stdout.write(f"{len(asked)} infills\n| | |\n|---|---|\n")
    sys.stdout.writelines(f"| {name} | {value} |\n" for name, value in rows(all_tried, fleet))
    head, *body = (" | ".join(map(str, row)) for row in curve(all_tried, fleet))
    sys.stdout.write(f"\n| {head} |\n|---|---|---|---|---|\n")
    sys.stdout.writelines(f"| {row} |\n" for row in body)


if __name__ == "__main__":
    main()
