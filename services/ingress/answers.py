"""An answer in the shape of the OpenAI API, piece by piece or whole."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import JsonValue

from services.ingress import sse
from services.ingress.conversation import Piece
from services.ingress.deltas import joined
from shared.messages.catalogue import Usage
from shared.messages.logprobs import Telling

Route = Literal["completions", "chat"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What does not change from piece to piece is encoded once, in `_before`."""

    route: Route
    id: str
    model: str
    created: int
    wants_usage: bool
    before: str
    telling: Telling | None = None

    @classmethod
    def to(
        cls,
        route: Route,
        *,
        task_id: str,
        model: str,
        created: int,
        wants_usage: bool,
        wants_logprobs: bool,
    ) -> Self:
        is_chat = route == "chat"
        answer_id = f"{'chatcmpl' if is_chat else 'cmpl'}-{task_id}"
        kind = "chat.completion.chunk" if is_chat else "text_completion"
        before = (
            f'data: {{"id":"{answer_id}","object":"{kind}","created":{created},'
            f'"model":{json.dumps(model)},"choices":['
        )
        return cls(
            route=route,
            id=answer_id,
            model=model,
            created=created,
            wants_usage=wants_usage,
            before=before,
            telling=Telling(route) if wants_logprobs else None,
        )

    def first(self) -> bytes:
        """What comes before all content: in a chat, whose turn it is."""
        if self.route == "completions":
            return b""
        turn = '{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}'
        return f"{self.before}{turn}]{self._after()}".encode()

    def chunk(self, piece: Piece) -> bytes:
        finish = f'"{piece.finish_reason}"' if piece.finish_reason else "null"
        content = (
            f'"delta":{_delta(piece)}'
            if self.route == "chat"
            else f'"text":{json.dumps(piece.text)}'
        )
        logprobs = "null" if self.telling is None else json.dumps(self._weighed([piece]))
        return (
            f'{self.before}{{"index":0,{content},"logprobs":{logprobs},"finish_reason":{finish}}}]'
            f"{self._after(piece)}"
        ).encode()

    def last(self, usage: Usage | None) -> bytes:
        if not self.wants_usage or usage is None:
            return sse.DONE
        return f'{self.before}],"usage":{json.dumps(usage_of(usage))}}}\n\n'.encode() + sse.DONE

    def whole(self, pieces: Sequence[Piece]) -> bytes:
        last = pieces[-1]
        choice: dict[str, JsonValue] = {"index": 0, "logprobs": self._weighed(pieces)}
        text = "".join(piece.text for piece in pieces)
        if self.route == "chat":
            choice["message"] = _message(text, (piece.delta for piece in pieces if piece.delta))
        else:
            choice["text"] = text
        choice["finish_reason"] = last.finish_reason
        is_synthetic = any(piece.synthetic for piece in pieces)
        return json.dumps(
            {
                "id": self.id,
                "object": "chat.completion" if self.route == "chat" else "text_completion",
                "created": self.created,
                "model": self.model,
                "choices": [choice],
                **({"usage": usage_of(last.usage)} if last.usage else {}),
                **({"system_fingerprint": "synthetic"} if is_synthetic else {}),
            }
        ).encode()

    def _weighed(self, pieces: Sequence[Piece]) -> JsonValue:
        """None where nobody asked, or nothing is known."""
        if self.telling is None:
            return None
        return self.telling.tell([each for piece in pieces for each in piece.logprobs or ()])

    def _after(self, piece: Piece | None = None) -> str:
        usage = ',"usage":null' if self.wants_usage else ""
        print_ = ',"system_fingerprint":"synthetic"' if piece and piece.synthetic else ""
        return f"{usage}{print_}}}\n\n"


def usage_of(usage: Usage) -> dict[str, JsonValue]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def _delta(piece: Piece) -> str:
    if piece.delta is None:
        return f'{{"content":{json.dumps(piece.text)}}}' if piece.text else "{}"
    if not piece.text:
        return piece.delta
    return json.dumps({"content": piece.text, **json.loads(piece.delta)})


def _message(text: str, deltas: Iterable[str]) -> dict[str, JsonValue]:
    rest = joined(deltas)
    content = text if text or not rest else None
    return {"role": "assistant", "content": content, "refusal": None, **rest}
