"""An engine works in steps; how long one takes is what every promise is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

# A prompt with a step for itself pays for that step alone. Short ones share it, as far as those who
# decode meanwhile hardly notice: up to so many times what a step takes that prefills nothing.
SHARING: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTime:
    """t = base + prefill·tokens + attention·Σ(tokens·context) + decode·sequences + kv·kv_tokens.

    All coefficients in seconds (per token, per token², per sequence, per token held in KV).
    Source of the formula: the cost model of the step of a continuously batched engine, as fitted by
    Vidur (Agrawal et al., MLSys 2024) and QoServe.
    """

    base_s: float
    prefill_s: float
    attention_s: float = 0.0
    decode_s: float
    kv_s: float

    @classmethod
    def of(cls, coefficients: Sequence[float]) -> Self:
        """From what `coefficients` gave."""
        base_s, prefill_s, attention_s, decode_s, kv_s = coefficients
        return cls(
            base_s=base_s,
            prefill_s=prefill_s,
            attention_s=attention_s,
            decode_s=decode_s,
            kv_s=kv_s,
        )

    def coefficients(self) -> tuple[float, float, float, float, float]:
        """In the order of the formula."""
        return (self.base_s, self.prefill_s, self.attention_s, self.decode_s, self.kv_s)

    def step_s(
        self, *, prefill_tokens: int, prefill_context: float, sequences: int, kv_tokens: int
    ) -> float:
        """`prefill_context` is Σ over chunks of chunk tokens · tokens already in the cache."""
        return (
            self.base_s
            + self.prefill_s * prefill_tokens
            + self.attention_s * prefill_context
            + self.decode_s * sequences
            + self.kv_s * kv_tokens
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineProfile:
    """One GPU with one model: its step time and its limits. `source` says where each came from."""

    name: str
    step_time: StepTime
    chunk_tokens: int
    max_sequences: int
    kv_capacity_tokens: int
    context_tokens: int
    source: str

    def shared_s(self, sharing: float) -> float:
        """Prompts may share a step to which they add no more than this together."""
        a_chunk_s = self.step_time.prefill_s * self.chunk_tokens
        return min(a_chunk_s, sharing * self.step_time.base_s)

    def alone_s(self, prompt_tokens: int, output_tokens: int) -> float:
        """From start to last token on an idle engine."""
        return self.first_token_s(prompt_tokens) + self.decode_s(prompt_tokens, output_tokens - 1)

    def first_token_s(self, prompt_tokens: int) -> float:
        """From start to first token on an idle engine."""
        steps = max(1, -(-prompt_tokens // self.chunk_tokens))
        return steps * self.step_time.base_s + self.prefill_s(prompt_tokens)

    def prefill_s(self, prompt_tokens: int) -> float:
        """What a prompt adds to the steps it is prefilled in."""
        linear_s = self.step_time.prefill_s * prompt_tokens
        if not self.step_time.attention_s:
            return linear_s
        return linear_s + self.step_time.attention_s * self.prefill_context(prompt_tokens)

    def prefill_context(self, prompt_tokens: int) -> float:
        """Σ over a prompt's chunks of chunk tokens · tokens before it."""
        full, rest = divmod(prompt_tokens, self.chunk_tokens)
        return self.chunk_tokens**2 * full * (full - 1) / 2 + rest * full * self.chunk_tokens

    def decode_s(self, prompt_tokens: int, tokens: int) -> float:
        """For `tokens` more tokens of one sequence that runs alone."""
        held = prompt_tokens + tokens / 2
        each_s = self.step_time.base_s + self.step_time.decode_s + self.step_time.kv_s * held
        return max(0, tokens) * each_s
