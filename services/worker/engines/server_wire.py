"""The OpenAI API as this house's small engine server speaks it: requests in, events out."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from services.worker.engine import Piece
from shared.messages.body import Body, ChatMessage
from shared.messages.catalogue import Usage
from shared.messages.logprobs import Telling

Route = Literal["completions", "chat"]

_DEFAULT_TOKENS: Final = 16


class BadRequest(Exception):
    def __init__(self, message: str, param: str | None = None) -> None:
        self.message, self.param = message, param
        super().__init__(message)


class _StreamOptions(BaseModel):
    include_usage: bool = False


class Request(BaseModel):
    model_config = ConfigDict(extra="ignore")

    prompt: str | None = None
    messages: tuple[ChatMessage, ...] = ()
    suffix: str | None = None
    max_tokens: int = Field(default=_DEFAULT_TOKENS, ge=1)
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: str | tuple[str, ...] | None = None
    logprobs: bool | int | None = None
    top_logprobs: int = Field(default=0, ge=0)
    stream: bool = False
    stream_options: _StreamOptions = _StreamOptions()
    ignore_eos: bool = False
    priority: int = 0

    @classmethod
    def read(cls, route: Route, raw: bytes) -> "Request":
        """Raises BadRequest."""
        try:
            request = cls.model_validate_json(raw)
        except ValidationError as error:
            first = error.errors()[0]
            raise BadRequest(first["msg"], ".".join(map(str, first["loc"]))) from error
        if request.suffix is not None:
            # In vLLM's words.
            raise BadRequest("suffix is only supported for models with FIM completion rendering")
        if route == "completions" and request.prompt is None:
            raise BadRequest("a string is needed", "prompt")
        if route == "chat" and not request.messages:
            raise BadRequest("at least one message is needed", "messages")
        return request

    def body(self, route: Route) -> Body:
        stop = (self.stop,) if isinstance(self.stop, str) else self.stop or ()
        return Body(
            route=route,
            prompt=self.prompt,
            messages=self.messages,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            seed=self.seed,
            stop=stop,
            logprobs=self._likeliest(route),
            extra={"ignore_eos": True} if self.ignore_eos else {},
        )

    def _likeliest(self, route: Route) -> int | None:
        """How many in the place of each token; the routes ask in ways of their own."""
        if route == "chat":
            return self.top_logprobs if self.logprobs is True else None
        return None if isinstance(self.logprobs, bool) else self.logprobs


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Writes one answer; what does not change from piece to piece is encoded once."""

    id: str
    route: Route
    model: str
    created: int
    telling: Telling

    def event(self, piece: Piece) -> bytes:
        finish = json.dumps(piece.finish_reason)
        if self.route == "chat":
            kind, choice = "chat.completion.chunk", f'"delta":{self._delta(piece)}'
        else:
            kind, choice = "text_completion", f'"text":{json.dumps(piece.text)}'
        return (
            f'data: {{"id":"{self.id}","object":"{kind}","created":{self.created},'
            f'"model":{json.dumps(self.model)},"choices":[{{"index":0,{choice},'
            f'"logprobs":{json.dumps(self.telling.tell(piece.logprobs))},'
            f'"finish_reason":{finish}}}]}}\n\n'
        ).encode()

    def usage_event(self, usage: Usage) -> bytes:
        kind = "chat.completion.chunk" if self.route == "chat" else "text_completion"
        event = {**self._head(kind), "choices": [], "usage": _usage(usage)}
        return b"data: " + json.dumps(event).encode() + b"\n\n"

    def whole(self, pieces: Sequence[Piece]) -> bytes:
        """The answer of a request that does not stream."""
        text, last = "".join(piece.text for piece in pieces), pieces[-1]
        logprobs = [each for piece in pieces for each in piece.logprobs]
        choice: dict[str, JsonValue] = {
            "index": 0,
            "logprobs": self.telling.tell(logprobs),
            "finish_reason": last.finish_reason,
        }
        if self.route == "chat":
            choice["message"] = {"role": "assistant", "content": text}
        else:
            choice["text"] = text
        kind = "chat.completion" if self.route == "chat" else "text_completion"
        usage = None if last.usage is None else _usage(last.usage)
        return json.dumps({**self._head(kind), "choices": [choice], "usage": usage}).encode()

    def _head(self, kind: str) -> dict[str, JsonValue]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def _delta(self, piece: Piece) -> str:
        return json.dumps({"role": "assistant", "content": piece.text})


def error_body(message: str, *, status: int, param: str | None = None) -> bytes:
    is_ours = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    kind = "InternalServerError" if is_ours else "BadRequestError"
    error = {"message": message, "type": kind, "param": param, "code": status}
    return json.dumps({"error": error}).encode()


def _usage(usage: Usage) -> dict[str, JsonValue]:
    total = usage.prompt_tokens + usage.completion_tokens
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": total,
    }
