"""What clients may ask for: the OpenAI API, as far as it is implemented."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic_core import ErrorDetails

from services.ingress.fields import passed_on
from shared.domain.errors import InvalidRequest
from shared.messages.body import Body, ChatMessage

_MOST_STOPS: Final = 16
INT64: Final = 2**63
_COMPLETION_TOKENS: Final = 16  # as the OpenAI API has it
ANSWER_TOKENS: Final = 1024
_ROLES: Final = ("system", "developer", "user", "assistant", "tool", "function")
# Before and after everybody who did not say anything.
_TIERS: Final = {"auto": 0, "default": 0, "flex": 10, "priority": -10}

_ALTERNATIVE: Final = re.compile(r"str$|constrained-str$|(tuple|list)\[")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_NO_NUMBERS: Final = (b"NaN", b"Infinity")

_Stop = Annotated[str, Field(min_length=1, max_length=1024)]
_Number = Annotated[float, Field(allow_inf_nan=False)]


class _StreamOptions(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    include_usage: bool = False


class Request(BaseModel):
    """What all routes have in common; `model` None is the only one, or the usual one."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow", allow_inf_nan=False)
    __pydantic_extra__: dict[str, JsonValue]

    model: str | None = Field(default=None, min_length=1, max_length=256)
    max_tokens: int | None = Field(default=None, ge=1, lt=INT64)
    temperature: _Number | None = Field(default=None, ge=0, le=2)
    top_p: _Number | None = Field(default=None, gt=0, le=1)
    seed: int | None = Field(default=None, ge=-INT64, lt=INT64)
    stop: _Stop | Annotated[tuple[_Stop, ...], Field(max_length=_MOST_STOPS)] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    priority: int | None = Field(default=None, ge=-1_000_000, le=1_000_000)
    service_tier: Literal["auto", "default", "flex", "priority"] | None = None

    @classmethod
    def read(cls, raw: bytes) -> Self:
        """Raises InvalidRequest, which names the field."""
        if any(word in raw for word in _NO_NUMBERS):
            _refuse_no_numbers(raw)
        try:
            return cls.model_validate_json(raw)
        except ValidationError as error:
            raise _lone_surrogate(raw) or _explained(error) from error

    @property
    def hint(self) -> int:
        """How much sooner (below 0) or later the client would like to be served."""
        return (self.priority or 0) + _TIERS[self.service_tier or "auto"]

    @property
    def wants_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    def stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else self.stop or ()


class CompletionRequest(Request):
    prompt: str | list[JsonValue] | None = None
    suffix: str | None = None
    logprobs: int | None = Field(default=None, ge=0, le=5)

    def likeliest(self) -> int | None:
        """How many to tell of in the place of each token; None where none is to be weighed."""
        return self.logprobs

    def body(self) -> Body:
        """Raises InvalidRequest."""
        prompt, token_ids = _prompt(self.prompt)
        if not prompt and not self.suffix and not token_ids:
            raise InvalidRequest("the prompt is empty; send some text", param="prompt")
        return Body(
            route="completions",
            prompt=prompt,
            suffix=self.suffix or None,
            max_tokens=self.max_tokens or _COMPLETION_TOKENS,
            temperature=self.temperature,
            top_p=self.top_p,
            seed=self.seed,
            stop=self.stops(),
            logprobs=self.likeliest(),
            extra={
                **passed_on(self.__pydantic_extra__),
                **({} if token_ids is None else {"prompt_token_ids": token_ids}),
            },
        )


class ChatRequest(Request):
    messages: tuple[ChatMessage, ...] = Field(min_length=1, max_length=10_000)
    max_completion_tokens: int | None = Field(default=None, ge=1, lt=INT64)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)

    def likeliest(self) -> int | None:
        """As of a completion. Raises InvalidRequest."""
        if self.top_logprobs and not self.logprobs:
            raise InvalidRequest("top_logprobs needs `logprobs: true`", param="top_logprobs")
        return self.top_logprobs or 0 if self.logprobs else None

    def body(self) -> Body:
        """Raises InvalidRequest."""
        _check_turns(self.messages)
        return Body(
            route="chat",
            messages=self.messages,
            max_tokens=self.max_completion_tokens or self.max_tokens or ANSWER_TOKENS,
            temperature=self.temperature,
            top_p=self.top_p,
            seed=self.seed,
            stop=self.stops(),
            logprobs=self.likeliest(),
            extra=passed_on(self.__pydantic_extra__),
        )


def _prompt(given: str | list[JsonValue] | None) -> tuple[str | None, list[JsonValue] | None]:
    """Text or token ids, out of the four shapes that the API has for them."""
    if given is None or isinstance(given, str):
        return given, None
    match given:
        case [str() as only]:
            return only, None
        case [[*ids]] if _are_token_ids(ids):
            return None, ids
        case [str() | list(), _, *_]:
            raise InvalidRequest("one prompt a request; send them one by one", param="prompt")
        case ids if _are_token_ids(ids):
            return None, ids
    raise InvalidRequest("send a text or a list of token ids", param="prompt")


def _are_token_ids(given: list[JsonValue]) -> bool:
    return bool(given) and all(
        isinstance(each, int) and not isinstance(each, bool) and 0 <= each < INT64 for each in given
    )


def _check_turns(turns: tuple[ChatMessage, ...]) -> None:
    for at, turn in enumerate(turns):
        if turn.role not in _ROLES:
            raise InvalidRequest(
                f"unknown role {turn.role[:64]!r}; known roles: {', '.join(_ROLES)}",
                param=f"messages.{at}.role",
            )
        _check_parts(turn.content, f"messages.{at}.content")
    if not any(turn.content or turn.model_extra for turn in turns):
        raise InvalidRequest("all messages are empty; send some text", param="messages")


def _check_parts(content: str | list[JsonValue] | None, place: str) -> None:
    for at, part in enumerate(content if isinstance(content, list) else ()):
        match part:
            case {"type": "text", "text": str()}:
                continue
            case {"type": str(kind)} if kind != "text":
                continue
        raise InvalidRequest('send parts like {"type": "text", "text": "…"}', param=f"{place}.{at}")


def _refuse_no_numbers(raw: bytes) -> None:
    """JSON has no such numbers, and a later reader would find null in their place."""

    def refuse(word: str) -> None:
        raise InvalidRequest(f"the body is not valid JSON: {word} is not a number of JSON")

    try:
        json.loads(raw, parse_constant=refuse)
    except (ValueError, RecursionError):
        # Told in one way, by the parser that reads everything else.
        return


def _explained(error: ValidationError) -> InvalidRequest:
    """The first thing that is wrong, and where; never what else stood in the body."""
    first, *more = error.errors(include_url=False, include_input=False)
    if first["type"].endswith("_type"):
        # Another alternative of the same field may have been meant, and say more.
        closer = (each for each in more if each["loc"][:1] == first["loc"][:1])
        first = next((each for each in closer if not each["type"].endswith("_type")), first)
    if first["type"] == "json_invalid":
        return InvalidRequest(f"the body is not valid JSON: {_reason(first)}")
    if not first["loc"]:
        return InvalidRequest("the body has to be a JSON object")
    place, problem = _place(first), first["msg"][:200].replace("Tuple", "List")
    # Clients show the message alone.
    return InvalidRequest(f"{place}: {problem}" if place else problem, param=place)


def _lone_surrogate(raw: bytes) -> InvalidRequest | None:
    """They pass for JSON, and then no text can be made of them."""
    try:
        places = tuple(_unwritable(json.loads(raw), ""))
    except (ValueError, RecursionError):
        return None
    if not places:
        return None
    return InvalidRequest(
        "half of a surrogate pair stands alone in the text; send valid Unicode",
        param=places[0][1:128] or None,
    )


def _unwritable(value: JsonValue, place: str) -> Iterator[str]:
    match value:
        case str() if not _is_writable(value):
            yield place
        case list():
            for at, item in enumerate(value):
                yield from _unwritable(item, f"{place}.{at}")
        case dict():
            for name, item in value.items():
                if not _is_writable(name):
                    yield place
                else:
                    yield from _unwritable(item, f"{place}.{name}")


def _is_writable(text: str) -> bool:
    return text.isascii() or _SURROGATE.search(text) is None


def _reason(detail: ErrorDetails) -> str:
    context: Mapping[str, object] = detail.get("ctx", {})
    return str(context.get("error", detail["msg"]))[:200]


def _place(detail: ErrorDetails) -> str:
    # Which alternative of a union was tried is pydantic's affair.
    said = [str(part) for part in detail["loc"] if not _ALTERNATIVE.match(str(part))]
    return ".".join(said)[:128]
