"""What would become of a task on that worker now, and of those who already run there?"""

from dataclasses import dataclass

from shared.scheduling.step_time import EngineProfile


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineState:
    """`prefill_tokens` are taken on and will be done after the step under way, which still takes
    `step_left_s`; `step_s` is the recent average of steps, with the prefill of others in it."""

    prefill_tokens: int
    sequences: int
    kv_tokens: int
    step_s: float = 0.0
    step_left_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Seconds from an entry now. `harm_s` is by how much all who decode there are delayed together,
    and `inter_token_s` what lies between two tokens."""

    first_token_s: float
    inter_token_s: float
    finish_s: float
    harm_s: float

    def latest_start_at(self, deadline_at: float, *, is_first_token_promised: bool) -> float:
        """On this worker, as it is now."""
        promised_s = self.first_token_s if is_first_token_promised else self.finish_s
        return deadline_at - promised_s


def estimate(
    profile: EngineProfile, state: EngineState, *, prompt_tokens: int, output_tokens: int
) -> Estimate:
    """Prompts go in one after the other; whoever decodes gets a token in each step meanwhile.

    Prompts that do not fit into the cache wait until those who run have left as much of it, evenly
    over the time that this task itself would decode.
    """
    time = profile.step_time
    decode_step_s = _decode_step_s(profile, state)
    held = prompt_tokens + output_tokens / 2
    each_s = decode_step_s + time.decode_s + time.kv_s * held
    inter_token_s = max(each_s, state.step_s)
    own_s = _prefill_s(profile, prompt_tokens, decode_step_s)
    # The others' prompts fill their steps, and need no steps of their own beyond.
    before_s = _prefill_s(profile, state.prefill_tokens, decode_step_s)
    missing = state.kv_tokens + prompt_tokens + output_tokens - profile.kv_capacity_tokens
    full_s = max(0, missing) / max(1, state.kv_tokens) * output_tokens * inter_token_s
    first_token_s = state.step_left_s + before_s + full_s + own_s
    decoding_s = max(0, output_tokens - 1) * inter_token_s
    pushed_s = own_s - decode_step_s * _chunks(profile, prompt_tokens)
    harm_s = state.sequences * (pushed_s + output_tokens * (each_s - decode_step_s))
    return Estimate(
        first_token_s=first_token_s,
        inter_token_s=inter_token_s,
        finish_s=first_token_s + decoding_s,
        harm_s=harm_s,
    )


def _decode_step_s(profile: EngineProfile, state: EngineState) -> float:
    time = profile.step_time
    return time.base_s + time.decode_s * state.sequences + time.kv_s * state.kv_tokens


def _prefill_s(profile: EngineProfile, tokens: int, decode_step_s: float) -> float:
    return profile.prefill_s(tokens) + _chunks(profile, tokens) * decode_step_s


def _chunks(profile: EngineProfile, tokens: int) -> int:
    return -(-tokens // profile.chunk_tokens)
