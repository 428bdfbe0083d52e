"""What a worker writes down of its engine's speed: a JSON object a line, and no prompt's text."""

from pydantic import BaseModel, ConfigDict


class StepTimed(BaseModel):
    """What `steps` steps did and how long they took; counts are sums over the steps."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    took_s: float
    prefill_tokens: float
    prefill_context: float
    sequences: float
    kv_tokens: float
    steps: float = 1.0


class TaskServed(BaseModel):
    """One answer from its entry into the engine, and what the engine held just before."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: str
    prompt_tokens: int
    output_tokens: int
    expected_tokens: int
    first_token_s: float
    finish_s: float
    held_step_left_s: float = 0.0
    held_prefill_tokens: int
    held_sequences: int
    held_kv_tokens: int
    recent_step_s: float


class Timed(BaseModel):
    """One line: one of the two."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    step: StepTimed | None = None
    served: TaskServed | None = None
