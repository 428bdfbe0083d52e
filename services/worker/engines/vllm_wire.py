"""What a job asks of vLLM, as values: its prompt as text, and how to choose tokens."""

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from services.worker.engine import EngineRefused
from shared.messages.body import Body, ChatMessage
from shared.tasks.fim import FimTemplate, has_fim_markers

# Obeyed by vLLM's own server around the engine, which is not there; the `openai` engine has it.
_NEEDS_THE_SERVER: Final = (
    "tools",
    "chat_template",
    "reasoning_effort",
    "length_penalty",
    "truncate_prompt_tokens",
)
_GUIDED: Final = ("json", "regex", "choice", "grammar")


class _Sampling(BaseModel):
    """Fields by vLLM's names. A wrong type must not reach the engine: it could die of it."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    allowed_token_ids: list[int] | None = Field(default=None, min_length=1)
    bad_words: list[str] | None = None
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    ignore_eos: bool | None = None
    include_stop_str_in_output: bool | None = None
    min_p: float | None = Field(default=None, ge=0, le=1)
    min_tokens: int | None = Field(default=None, ge=0)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    repetition_penalty: float | None = Field(default=None, gt=0, le=10)
    skip_special_tokens: bool | None = None
    spaces_between_special_tokens: bool | None = None
    stop_token_ids: list[int] | None = None
    top_k: int | None = Field(default=None, ge=-1)


class _Schema(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", populate_by_name=True)

    schema_: dict[str, JsonValue] = Field(alias="schema")


class _ResponseFormat(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    type: str
    json_schema: _Schema | None = None


def refused(message: str) -> EngineRefused:
    """The same job can never succeed here."""
    return EngineRefused(message, is_permanent=True, status=400)


def check_obeyable(body: Body) -> None:
    """Raises EngineRefused for the first field that vLLM in process does not obey."""
    for name in _NEEDS_THE_SERVER:
        if name in body.extra:
            raise refused(f"{name}: vLLM in process does not obey it; serve without it")
    for message in body.messages:
        parts = message.content if isinstance(message.content, list) else ()
        if any(not isinstance(part, dict) or part.get("type") != "text" for part in parts):
            raise refused("messages: this engine reads text only")


def sampling_of(
    body: Body, *, defaults: Mapping[str, JsonValue], room_tokens: int
) -> dict[str, JsonValue]:
    """By the names of vLLM's SamplingParams; what the client left open is the model's default.

    Raises EngineRefused, which names the field.
    """
    try:
        extra = _Sampling.model_validate(body.extra)
        constraint = _constraint(body.extra)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise refused(f"{field}: {first['msg']}") from error
    asked: dict[str, JsonValue] = {
        **extra.model_dump(exclude_none=True),
        "temperature": body.temperature,
        "top_p": body.top_p,
        "seed": body.seed,
        "stop": list(body.stop) or None,
        "logprobs": body.logprobs,
        "structured_outputs": constraint,
    }
    named = {name: value for name, value in asked.items() if value is not None}
    return {**defaults, **named, "max_tokens": max(1, min(body.max_tokens, room_tokens))}


def prompt_of(body: Body, fim: FimTemplate) -> str:
    """What a completion writes on from; the template goes around the cursor where there is one."""
    prompt = body.prompt or ""
    return prompt if body.suffix is None else fim.render(prompt, body.suffix)


def is_infill(body: Body) -> bool:
    """Does the answer end where the text after the cursor begins?"""
    return body.suffix is not None or has_fim_markers(body.prompt or "")


def turns_of(messages: tuple[ChatMessage, ...]) -> list[dict[str, JsonValue]]:
    """As chat templates read them: content is one text."""
    return [
        message.model_dump(exclude_none=True) | {"content": message.text()} for message in messages
    ]


def given_token_ids(body: Body, *, vocabulary: int) -> list[int] | None:
    """A prompt that came as tokens. Raises EngineRefused for tokens that the model lacks."""
    given = body.extra.get("prompt_token_ids")
    if given is None:
        return None
    ids = [each for each in given if isinstance(each, int)] if isinstance(given, list) else []
    if not ids or min(ids) < 0 or max(ids) >= vocabulary:
        raise refused(f"prompt: token ids have to lie between 0 and {vocabulary - 1}")
    return ids


def _constraint(extra: Mapping[str, JsonValue]) -> dict[str, JsonValue] | None:
    """What the answer has to look like, by the names of vLLM's StructuredOutputsParams."""
    for name in _GUIDED:
        if f"guided_{name}" in extra:
            return {name: extra[f"guided_{name}"]}
    if isinstance(own := extra.get("structured_outputs"), dict):
        return own
    if "response_format" not in extra:
        return None
    asked = _ResponseFormat.model_validate(extra["response_format"])
    if asked.json_schema is not None:
        return {"json": asked.json_schema.schema_}
    return {"json_object": True} if asked.type == "json_object" else None
