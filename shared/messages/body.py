"""The body is what the client wrote; classifier and engine read it, everybody else carries it."""

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from shared.domain.chain import Stage


class ChatMessage(BaseModel):
    """One turn; content parts, tool calls and names pass through as they came."""

    model_config = ConfigDict(frozen=True, extra="allow")

    role: str
    content: str | list[JsonValue] | None = None

    def text(self) -> str:
        if self.content is None or isinstance(self.content, str):
            return self.content or ""
        parts = (part.get("text") for part in self.content if isinstance(part, dict))
        return "".join(part for part in parts if isinstance(part, str))


class Body(BaseModel):
    """One request's content and sampling, after validation.

    `completions` uses prompt and suffix, `chat` uses messages, `tasks` uses code, language,
    target_language and instruction, which the kind's template turns into messages; with `stages`
    it is a chain, and `max_tokens` is that of its longest step. `logprobs` asks for the
    log-probability of each token, and of so many of the likeliest in its place.
    `extra` holds fields passed through to engines that know them (tools, response_format, …).
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    route: Literal["completions", "chat", "tasks"]
    prompt: str | None = None
    suffix: str | None = None
    messages: tuple[ChatMessage, ...] = ()
    code: str | None = None
    language: str | None = None
    target_language: str | None = None
    instruction: str | None = None
    max_tokens: int
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logprobs: int | None = None
    extra: dict[str, JsonValue] = {}
    stages: tuple[Stage, ...] = ()

    def text(self) -> str:
        """All the text that a model will read, in order, without templates."""
        return "\n".join(self.texts())

    def texts(self) -> Iterator[str]:
        """The parts of it, none of them empty."""
        turns = (message.text() for message in self.messages)
        alone = (self.prompt, self.suffix, self.instruction, self.code)
        staged = (text for stage in self.stages for text in (stage.prompt, *stage.over))
        return (part for part in (*turns, *alone, *staged) if part)

    def most_answer_tokens(self) -> int:
        """Of all the calls that it may take."""
        return sum(stage.max_tokens * stage.branches for stage in self.stages) or self.max_tokens
