"""How likely a model found each token that it wrote, and how the OpenAI API tells that."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, fsum
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, JsonValue

# JSON has no infinity; vLLM's server says the same of what cannot be.
_IMPOSSIBLE: Final = -9999.0


def _bounded(given: object) -> object:
    """What is not even a number is not believed."""
    return min(0.0, max(_IMPOSSIBLE, given)) if isinstance(given, int | float) else given


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


def probability(logprobs: Sequence[TokenLogprob]) -> float:
    """Of a whole answer; 0 where nothing is known of it."""
    return exp(fsum(each.logprob for each in logprobs)) if logprobs else 0.0


@dataclass(slots=True)
class Telling:
    """Of one answer, part by part; `at` is where in its text the next token begins."""

    route: Literal["completions", "chat"]
    at: int = 0

    def tell(self, logprobs: Sequence[TokenLogprob]) -> dict[str, JsonValue] | None:
        """None where there is nothing to tell."""
        if not logprobs:
            return None
        return self._in_chat(logprobs) if self.route == "chat" else self._in_completion(logprobs)

    def _in_completion(self, logprobs: Sequence[TokenLogprob]) -> dict[str, JsonValue]:
        offsets: list[JsonValue] = []
        for each in logprobs:
            offsets.append(self.at)
            self.at += len(each.token)
        return {
            "tokens": [each.token for each in logprobs],
            "token_logprobs": [each.logprob for each in logprobs],
            "top_logprobs": [_by_token(each) for each in logprobs],
            "text_offset": offsets,
        }

    def _in_chat(self, logprobs: Sequence[TokenLogprob]) -> dict[str, JsonValue]:
        content: list[JsonValue] = [
            {**_told(each), "top_logprobs": [_told(other) for other in each.top]}
            for each in logprobs
        ]
        return {"content": content, "refusal": None}


def _by_token(told: TokenLogprob) -> dict[str, JsonValue]:
    """The likeliest and the one that was written, as the API has it; of two with one text the
    likelier.
    """
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
