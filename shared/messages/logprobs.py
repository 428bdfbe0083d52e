"""How likely a model found each token that it wrote, and how the OpenAI API tells that."""

from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, JsonValue

# JSON has no infinity; vLLM's server says the same of what cannot be.
_IMPOSSIBLE: Final = -9999.0


def _bounded(given: object) -> object:
    """What is not even a number is not believed."""
    return min(0.0, max(_IMPOSSIBLE, given)) if isinstance(given, float) else given


class Likelihood(BaseModel):
    """A token as text, and the natural logarithm of its probability: at most 0, never infinite.

    The model's own, before temperature and nucleus change it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    token: str
    logprob: Annotated[float, BeforeValidator(_bounded)]


class TokenLogprob(Likelihood):
    """A token of an answer, with the likeliest ones in its place, best first, where asked for.

    The tokens of an answer, joined, begin with its text; those of a stop string or an end mark may
    follow. A token that only begins a character is empty, and the one that ends it is all of it.
    """

    top: tuple[Likelihood, ...] = ()


def in_completion(logprobs: Sequence[TokenLogprob], first_at: int = 0) -> dict[str, JsonValue]:
    """The shape of the completions route; `first_at` is where in the text the first one begins."""
    offsets = [first_at]
    for each in logprobs:
        offsets.append(offsets[-1] + len(each.token))
    return {
        "tokens": [each.token for each in logprobs],
        "token_logprobs": [each.logprob for each in logprobs],
        "top_logprobs": [_by_token(each) for each in logprobs],
        "text_offset": [*offsets[:-1]],
    }


def in_chat(logprobs: Sequence[TokenLogprob]) -> dict[str, JsonValue]:
    """The shape of the chat route."""
    content: list[JsonValue] = [
        {**_told(each), "top_logprobs": [_told(other) for other in each.top]} for each in logprobs
    ]
    return {"content": content, "refusal": None}


def _by_token(told: TokenLogprob) -> dict[str, JsonValue]:
    """The likeliest and the one that was written; of two with the same text the likelier."""
    named: dict[str, JsonValue] = {}
    for each in sorted((told, *told.top), key=lambda each: -each.logprob):
        named.setdefault(each.token, each.logprob)
    return named


def _told(each: Likelihood) -> dict[str, JsonValue]:
    return {
        "token": each.token,
        "logprob": each.logprob,
        "bytes": [*each.token.encode(errors="replace")],
    }
