"""Work done at once gets in its own way; how much is a curve of three numbers."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from operator import mul
from typing import Final, NamedTuple

from shared.scheduling.linear import nonnegative_solution
from shared.scheduling.step_time import EngineProfile

# One for each unknown.
_FEWEST_LOADS: Final = 3
# What an engine that takes no time takes.
_LEAST_S: Final = 1e-9


class Sample(NamedTuple):
    """Requests per second of an engine that always has so many inside."""

    load: int
    per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalability:
    """Throughput(n) = n · alone / (1 + contention · (n - 1) + coherence · n · (n - 1)).

    `alone_per_s`: requests per second, one at a time; `contention`: the share of a request that
    nobody else can do meanwhile; `coherence`: what each pair costs. Source of the formula: the
    universal scalability law (Gunther, 1993).
    """

    alone_per_s: float
    contention: float
    coherence: float

    def throughput_per_s(self, load: int) -> float:
        return load * self.alone_per_s / self.slowdown(load)

    def slowdown(self, load: int) -> float:
        """How many times longer than alone a request takes among so many, itself included."""
        others = max(0, load - 1)
        return 1 + self.contention * others + self.coherence * load * others

    @classmethod
    def fitted(cls, samples: Iterable[Sample]) -> "Scalability":
        """Least squares of the relative error of n / throughput(n), in closed form: that is linear
        in 1 / alone, contention / alone and coherence / alone, none of which is let below 0.

        Raises ValueError for fewer than three loads, and for throughputs that are no throughputs.
        """
        samples = tuple(samples)
        if len({each.load for each in samples}) < _FEWEST_LOADS:
            raise ValueError("three unknowns need samples of at least three loads")
        if not all(each.load >= 1 and 0 < each.per_s < math.inf for each in samples):
            raise ValueError("a sample is at least one request, and a rate above 0 per second")
        rows = [_row(each) for each in samples]
        columns = list(zip(*rows, strict=True))
        gram = [[sum(map(mul, x, y)) for y in columns] for x in columns]
        alone_s, contention_s, coherence_s = nonnegative_solution(gram, list(map(sum, columns)))
        if not alone_s:
            raise ValueError("a request that takes no time alone follows no such curve")
        return cls(
            alone_per_s=1 / alone_s,
            contention=contention_s / alone_s,
            coherence=coherence_s / alone_s,
        )

    @classmethod
    def of_engine(
        cls, profile: EngineProfile, *, prompt_tokens: int, output_tokens: int
    ) -> "Scalability":
        """Fitted to what its step time makes of requests that are all like this one."""
        loads = (2**power for power in range(profile.max_sequences.bit_length() + 1))
        size = (prompt_tokens, output_tokens)
        return cls.fitted(Sample(load, _per_s(profile, size, load)) for load in loads)


def _row(sample: Sample) -> tuple[float, float, float]:
    """What each unknown adds to this sample's n / throughput, as a share of it."""
    others, share = sample.load - 1, sample.per_s / sample.load
    return (share, share * others, share * sample.load * others)


def _per_s(profile: EngineProfile, size: tuple[int, int], load: int) -> float:
    """While as many leave as come: in the time of one answer's steps each of those inside has its
    prompt prefilled and its tokens decoded once; who does not fit into the KV cache waits."""
    prompt_tokens, output_tokens = size
    time = profile.step_time
    room = profile.kv_capacity_tokens // (prompt_tokens + output_tokens)
    inside = max(1, min(load, profile.max_sequences, room))
    token_s = time.decode_s + time.kv_s * (prompt_tokens + output_tokens / 2)
    own_s = profile.prefill_s(prompt_tokens) + output_tokens * token_s
    steps = -(-prompt_tokens // profile.chunk_tokens) + output_tokens - 1
    return inside / max(_LEAST_S, inside * own_s + steps * time.base_s)
