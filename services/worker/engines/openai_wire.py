"""What goes to and comes from a server that speaks the OpenAI API, as values."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from services.worker.engine import EngineRefused, EngineUnavailable, Job, Piece
from services.worker.engines.openai_logprobs import asked_for, told_by
from services.worker.engines.stopping import StopScanner
from shared.domain.outcome import FinishReason
from shared.messages.catalogue import Usage
from shared.messages.logprobs import TokenLogprob
from shared.tasks.fim import FimTemplate

# What servers differ in; each is left out, or rendered here, once a server has refused it.
# Each field goes by these words in refusals; Ollama speaks of `insert`.
OPTIONAL_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "suffix": ("suffix", "support insert"),
    "priority": ("priority",),
    "stream_options": ("stream_options",),
    "stop": ("stop",),
}
# As many as OpenAI's own API and, by default, TGI take; of the others the answer is cut here.
_FEW_STOPS: Final = 4
_CLIENT_ERROR, _SERVER_ERROR = 400, 500
# Not because of the request itself: the same one may pass later.
_PASSING: Final = frozenset({401, 403, 408, 409, 425, 429})
_BUSY: Final = frozenset({502, 503, 504})
# Of a request that cannot be obeyed as it is; llama.cpp also says 500 or 501 to what it cannot do.
_ABOUT_A_FIELD: Final = frozenset({400, 422, 500, 501})
_TOO_MANY: Final = 429
_END_TOKEN: Final = "eos_token"
# Of what a server says: it may quote the whole prompt, and endings are kept longer than prompts.
_QUOTED_CHARS: Final = 300


class Busy(EngineUnavailable):
    """It, or what stands before it, cannot take more just now."""


def may_pass(error: Exception) -> bool:
    """Is it worth asking again in a moment?"""
    is_refused_for_now = isinstance(error, EngineRefused) and error.status == _TOO_MANY
    return is_refused_for_now or isinstance(error, Busy)


def path_of(job: Job) -> str:
    return "/chat/completions" if job.body.route == "chat" else "/completions"


def payload_of(
    job: Job, *, model: str, refused: Collection[str], fim: FimTemplate
) -> dict[str, JsonValue]:
    """The request's JSON, without what the server has refused before."""
    body = job.body
    payload: dict[str, JsonValue] = {
        **body.extra,
        **asked_for(body),
        "model": model,
        "max_tokens": body.max_tokens,
        "temperature": body.temperature,
        "top_p": body.top_p,
        "seed": body.seed,
        "stop": list(stops_of(job, refused, fim)[: _FEW_STOPS if "stop" in refused else None])
        or None,
        "stream": True,
        "stream_options": {"include_usage": True},
        "priority": job.priority or None,
    }
    if body.route == "chat":
        payload["messages"] = [turn.model_dump(exclude_none=True) for turn in body.messages]
    else:
        payload |= _around_the_cursor(job, refused, fim)
    dropped = set(refused) - {"suffix", "stop"}
    return {
        name: value for name, value in payload.items() if value is not None and name not in dropped
    }


def _around_the_cursor(
    job: Job, refused: Collection[str], fim: FimTemplate
) -> dict[str, JsonValue]:
    prompt, suffix = job.body.prompt or "", job.body.suffix
    if suffix is None or "suffix" not in refused:
        return {"prompt": prompt, "suffix": suffix}
    return {"prompt": fim.render(prompt, suffix)}


def stops_of(job: Job, refused: Collection[str], fim: FimTemplate) -> tuple[str, ...]:
    """What ends the answer; of a suffix rendered here, also the marks of its template."""
    is_rendered = job.body.suffix is not None and "suffix" in refused
    return (*job.body.stop, *fim.stop) if is_rendered else job.body.stop


class _Choice(BaseModel):
    model_config = ConfigDict(extra="ignore")

    text: str | None = None
    delta: dict[str, JsonValue] = {}
    logprobs: JsonValue = None
    finish_reason: str | None = None

    def said(self) -> str:
        content = self.delta.get("content")
        return self.text or (content if isinstance(content, str) else "")


class _PromptDetails(BaseModel):
    model_config = ConfigDict(extra="ignore")

    cached_tokens: int | None = None


class _Counts(BaseModel):
    model_config = ConfigDict(extra="ignore")

    prompt_tokens: int
    completion_tokens: int = 0
    prompt_tokens_details: _PromptDetails | None = None

    def counted(self) -> Usage:
        details = self.prompt_tokens_details
        return Usage(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            cached_tokens=details.cached_tokens or 0 if details else 0,
        )


class _Chunk(BaseModel):
    model_config = ConfigDict(extra="ignore")

    choices: tuple[_Choice, ...] = ()
    usage: _Counts | None = None
    error: JsonValue = None


@dataclass(slots=True)
class Answer:
    """What has come of one answer. The last piece waits for the usage, which comes after it.

    Not every server keeps to the stop strings, or leaves them out of the text. `likeliest` is how
    many were asked for in the place of each token, None where no log-probabilities were.
    """

    stops: StopScanner = field(default_factory=lambda: StopScanner(()))
    likeliest: int | None = None
    logprobs: list[TokenLogprob] = field(default_factory=list)
    is_weighed: bool = False
    tokens: int = 0
    is_told_done: bool = False
    finish_reason: FinishReason | None = None
    usage: Usage | None = None

    def read(self, event: bytes) -> Piece | None:
        """Raises EngineUnavailable or EngineRefused on an error event or on garbage."""
        if event == b"[DONE]":
            self.is_told_done = True
            return None
        try:
            chunk = _Chunk.model_validate_json(event)
        except ValidationError as error:
            raise EngineUnavailable(
                f"the server sent a malformed event: {event[:200]!r}"
            ) from error
        if chunk.error is not None:
            raise error_of(*_code_and_message(chunk.error))
        usage = None if chunk.usage is None else chunk.usage.counted()
        self.usage = usage or self.usage
        if not chunk.choices:
            return None
        return self._piece(chunk.choices[0], usage)

    def is_done(self) -> bool:
        return self.is_told_done or self.stops.is_stopped

    def last(self, prompt_tokens: int) -> Piece:
        """Raises EngineUnavailable when the answer broke off."""
        if self.finish_reason is None:
            raise EngineUnavailable("the server ended the stream before the answer's end")
        counted = Usage(prompt_tokens=prompt_tokens, completion_tokens=self.tokens)
        usage = self.usage or counted
        return Piece(
            text=self.stops.rest(),
            # A busy server puts several tokens into one event, and only the usage tells.
            tokens=max(0, usage.completion_tokens - self.tokens),
            logprobs=self._weighed(),
            finish_reason=self.finish_reason,
            usage=usage,
        )

    def _piece(self, choice: _Choice, usage: Usage | None) -> Piece | None:
        # TGI says "" as long as there is none, and writes out the token that ends a text.
        if choice.finish_reason:
            self.finish_reason = _finish_reason(choice.finish_reason)
        text = "" if choice.finish_reason == _END_TOKEN else choice.said()
        rest = {
            name: value
            for name, value in choice.delta.items()
            if name not in ("content", "role") and value not in (None, [], {})
        }
        if self.likeliest is not None:
            self._weigh(choice.logprobs, text, self.likeliest)
        if not text and not rest:
            return None
        tokens, shown = self._tokens_since(usage), self.stops.feed(text)
        if self.stops.is_stopped:
            self.finish_reason = FinishReason.STOP
        delta = json.dumps(rest) if rest else None
        return Piece(text=shown, tokens=tokens, logprobs=self._weighed(), delta=delta)

    def _weigh(self, told: JsonValue, text: str, likeliest: int) -> None:
        """Raises EngineRefused where a server does not say no, and does not tell any either."""
        self.logprobs += told_by(told, likeliest)
        self.is_weighed |= bool(self.logprobs)
        if text and not self.is_weighed:
            raise EngineRefused(
                "logprobs: the server tells none; ask without", is_permanent=True, status=400
            )

    def _weighed(self) -> tuple[TokenLogprob, ...]:
        """What came since the last piece."""
        weighed, self.logprobs = tuple(self.logprobs), []
        return weighed

    def _tokens_since(self, usage: Usage | None) -> int:
        """Servers that count along put several tokens into one event; others are taken as one."""
        before = self.tokens
        self.tokens = before + 1 if usage is None else usage.completion_tokens
        return max(0, self.tokens - before)


def error_of(status: int, message: str) -> EngineUnavailable | EngineRefused:
    said = f"the server answered {status}: {message}"
    if status in _BUSY:
        return Busy(said)
    if status >= _SERVER_ERROR or status < _CLIENT_ERROR:
        return EngineUnavailable(said)
    return EngineRefused(said, is_permanent=status not in _PASSING, status=status)


def refusal_of(body: bytes) -> str:
    """The words of an error response, whatever shape it has."""
    try:
        parsed: JsonValue = json.loads(body)
    except ValueError:
        return body[:_QUOTED_CHARS].decode(errors="replace")
    if isinstance(parsed, dict) and "error" in parsed:
        parsed = parsed["error"]
    return _code_and_message(parsed)[1]


def field_refused(status: int, message: str, payload: Mapping[str, JsonValue]) -> str | None:
    """Which optional field of the payload the server complains about."""
    if status not in _ABOUT_A_FIELD:
        return None
    said = message.lower()
    for name, words in OPTIONAL_FIELDS.items():
        if _is_sent(name, payload) and any(word in said for word in words):
            return name
    return None


def _is_sent(name: str, payload: Mapping[str, JsonValue]) -> bool:
    """And can it be left out, or less of it be sent?"""
    value = payload.get(name)
    return len(value) > _FEW_STOPS if isinstance(value, list) else name in payload


def _code_and_message(error: JsonValue) -> tuple[int, str]:
    if not isinstance(error, dict):
        return _SERVER_ERROR, str(error)[:_QUOTED_CHARS]
    code = error.get("code")
    parts = (error.get("message") or error.get("detail"), error.get("param"))
    message = " ".join(str(part) for part in parts if part) or json.dumps(error)
    return (code if isinstance(code, int) else _SERVER_ERROR), message[:_QUOTED_CHARS]


def _finish_reason(said: str) -> FinishReason:
    """Words that the API does not know (a server's own) count as an ordinary end."""
    try:
        return FinishReason(said)
    except ValueError:
        return FinishReason.STOP
