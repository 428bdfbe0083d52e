"""What goes to and comes from a server that speaks the OpenAI API, as values."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from services.worker.engine import EngineRefused, EngineUnavailable, Job, Piece
from shared.domain.outcome import FinishReason
from shared.messages.catalogue import Usage
from shared.tasks.fim import FimTemplate

# What servers differ in; each is left out, or rendered here, once a server has refused it.
OPTIONAL_FIELDS: Final = ("suffix", "priority", "stream_options")
_CLIENT_ERROR, _SERVER_ERROR = 400, 500
# Not because of the request itself: the same one may pass later.
_PASSING: Final = frozenset({401, 403, 408, 409, 425, 429})


def path_of(job: Job) -> str:
    return "/chat/completions" if job.body.route == "chat" else "/completions"


def payload_of(
    job: Job, *, model: str, refused: Collection[str], fim: FimTemplate
) -> dict[str, JsonValue]:
    """The request's JSON, without what the server has refused before."""
    body = job.body
    payload: dict[str, JsonValue] = {
        **body.extra,
        "model": model,
        "max_tokens": body.max_tokens,
        "temperature": body.temperature,
        "top_p": body.top_p,
        "seed": body.seed,
        "stop": list(body.stop) or None,
        "stream": True,
        "stream_options": {"include_usage": True},
        "priority": job.priority or None,
    }
    if body.route == "chat":
        payload["messages"] = [turn.model_dump(exclude_none=True) for turn in body.messages]
    else:
        payload |= _around_the_cursor(job, refused, fim)
    dropped = set(refused) - {"suffix"}
    return {
        name: value for name, value in payload.items() if value is not None and name not in dropped
    }


def _around_the_cursor(
    job: Job, refused: Collection[str], fim: FimTemplate
) -> dict[str, JsonValue]:
    prompt, suffix = job.body.prompt or "", job.body.suffix
    if suffix is None or "suffix" not in refused:
        return {"prompt": prompt, "suffix": suffix}
    stops: list[JsonValue] = [*job.body.stop, *fim.stop]
    return {"prompt": fim.render(prompt, suffix), "stop": stops}


class _Choice(BaseModel):
    model_config = ConfigDict(extra="ignore")

    text: str | None = None
    delta: dict[str, JsonValue] = {}
    finish_reason: str | None = None


class _Chunk(BaseModel):
    model_config = ConfigDict(extra="ignore")

    choices: tuple[_Choice, ...] = ()
    usage: Usage | None = None
    error: JsonValue = None


@dataclass(slots=True)
class Answer:
    """What has come of one answer. The last piece waits for the usage, which comes after it."""

    tokens: int = 0
    finish_reason: FinishReason | None = None
    usage: Usage | None = None

    def read(self, event: bytes) -> Piece | None:
        """Raises EngineUnavailable or EngineRefused on an error event or on garbage."""
        try:
            chunk = _Chunk.model_validate_json(event)
        except ValidationError as error:
            raise EngineUnavailable(
                f"the server sent a malformed event: {event[:200]!r}"
            ) from error
        if chunk.error is not None:
            raise error_of(*_code_and_message(chunk.error))
        self.usage = chunk.usage or self.usage
        if not chunk.choices:
            return None
        return self._piece(chunk.choices[0], chunk.usage)

    def last(self, prompt_tokens: int) -> Piece:
        """Raises EngineUnavailable when the answer broke off."""
        if self.finish_reason is None:
            raise EngineUnavailable("the server ended the stream before the answer's end")
        counted = Usage(prompt_tokens=prompt_tokens, completion_tokens=self.tokens)
        return Piece(finish_reason=self.finish_reason, usage=self.usage or counted)

    def _piece(self, choice: _Choice, usage: Usage | None) -> Piece | None:
        if choice.finish_reason is not None:
            self.finish_reason = _finish_reason(choice.finish_reason)
        content = choice.delta.get("content")
        text = choice.text or (content if isinstance(content, str) else "")
        rest = {
            name: value
            for name, value in choice.delta.items()
            if name not in ("content", "role") and value not in (None, [], {})
        }
        if not text and not rest:
            return None
        tokens = self._tokens_since(usage)
        return Piece(text=text, tokens=tokens, delta=json.dumps(rest) if rest else None)

    def _tokens_since(self, usage: Usage | None) -> int:
        """Servers that count along put several tokens into one event; others are taken as one."""
        before = self.tokens
        self.tokens = before + 1 if usage is None else usage.completion_tokens
        return max(0, self.tokens - before)


def error_of(status: int, message: str) -> EngineUnavailable | EngineRefused:
    said = f"the server answered {status}: {message}"
    if status >= _SERVER_ERROR or status < _CLIENT_ERROR:
        return EngineUnavailable(said)
    return EngineRefused(said, is_permanent=status not in _PASSING, status=status)


def refusal_of(body: bytes) -> str:
    """The words of an error response, whatever shape it has."""
    try:
        parsed: JsonValue = json.loads(body)
    except ValueError:
        return body[:300].decode(errors="replace")
    if isinstance(parsed, dict) and "error" in parsed:
        parsed = parsed["error"]
    return _code_and_message(parsed)[1]


def field_refused(message: str, payload: Mapping[str, JsonValue]) -> str | None:
    """Which optional field of the payload the server complains about."""
    said = message.lower()
    sent = (name for name in OPTIONAL_FIELDS if name in payload)
    return next((name for name in sent if name in said), None)


def _code_and_message(error: JsonValue) -> tuple[int, str]:
    if not isinstance(error, dict):
        return _SERVER_ERROR, str(error)
    code = error.get("code")
    parts = (error.get("message") or error.get("detail"), error.get("param"))
    message = " ".join(str(part) for part in parts if part) or json.dumps(error)
    return (code if isinstance(code, int) else _SERVER_ERROR), message


def _finish_reason(said: str) -> FinishReason:
    """Words that the API does not know (a server's own) count as an ordinary end."""
    try:
        return FinishReason(said)
    except ValueError:
        return FinishReason.STOP
