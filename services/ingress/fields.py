"""Fields of the OpenAI API that not every request has: passed on, or refused by name."""

import json
from collections.abc import Mapping
from math import isfinite
from typing import Final

from pydantic import JsonValue

from services.ingress.errors import NotOffered
from shared.domain.errors import InvalidRequest

# For the engine, if it knows them.
PASSED_ON: Final = frozenset(
    {
        "add_generation_prompt",
        "allowed_token_ids",
        "bad_words",
        "chat_template",
        "chat_template_kwargs",
        "frequency_penalty",
        "guided_choice",
        "guided_grammar",
        "guided_json",
        "guided_regex",
        "ignore_eos",
        "include_stop_str_in_output",
        "length_penalty",
        "min_p",
        "min_tokens",
        "parallel_tool_calls",
        "presence_penalty",
        "reasoning_effort",
        "repetition_penalty",
        "response_format",
        "skip_special_tokens",
        "spaces_between_special_tokens",
        "stop_token_ids",
        "structured_outputs",
        "tool_choice",
        "tools",
        "top_k",
        "truncate_prompt_tokens",
    }
)

# They say something about the client and nothing about the answer.
NOTED: Final = frozenset({"metadata", "prompt_cache_key", "safety_identifier", "user", "verbosity"})

# Not implemented, except for the value that asks for nothing.
NEUTRAL: Final[Mapping[str, JsonValue]] = {
    "best_of": 1,
    "echo": False,
    "function_call": "none",
    "functions": [],
    "logit_bias": {},
    "logprobs": False,
    "modalities": ["text"],
    "n": 1,
    "store": False,
    "top_logprobs": 0,
    "use_beam_search": False,
}

# What engines answer without being asked; passing it on would only trouble those that lack it.
_DEFAULTS: Final[Mapping[str, JsonValue]] = {
    "frequency_penalty": 0,
    "ignore_eos": False,
    "presence_penalty": 0,
    "repetition_penalty": 1,
    "tools": [],
}


def passed_on(given: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """What the engine has to know; raises NotOffered for the first field that nobody will obey."""
    kept: dict[str, JsonValue] = {}
    for name, value in given.items():
        if value is None or name in NOTED or _is(value, NEUTRAL.get(name)):
            continue
        if name not in PASSED_ON:
            raise _not_offered(name)
        if not _is_finite(value):
            raise InvalidRequest("numbers have to be finite", param=name)
        if not _is(value, _DEFAULTS.get(name)):
            kept[name] = value
    return kept


def _is(value: JsonValue, neutral: JsonValue) -> bool:
    # True equals 1 in Python, and `n: true` is not `n: 1`.
    return value == neutral and isinstance(value, bool) == isinstance(neutral, bool)


def _is_finite(value: JsonValue) -> bool:
    match value:
        case float():
            return isfinite(value)
        case list():
            return all(map(_is_finite, value))
        case dict():
            return all(map(_is_finite, value.values()))
        case _:
            return True


def _not_offered(name: str) -> NotOffered:
    shown = name[:64]
    if name in NEUTRAL:
        return NotOffered(
            f"{shown!r} is not implemented; leave it out or send {json.dumps(NEUTRAL[name])}",
            param=shown,
        )
    return NotOffered(f"{shown!r} is not a field of this API; leave it out", param=shown)
