"""A prompt that its model cannot hold is refused at the door; in doubt the engine decides.

An engine counts with its own tokenizer and template, so what is counted here is never more than
what it will find: the texts alone, and, where no tokenizer is known, long tokens only.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from shared.domain.errors import InvalidRequest, PromptTooLong, SettingsError
from shared.messages.body import Body

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# The longest tokens of published vocabularies are runs of 128 blanks.
_LONGEST_TOKEN_CHARS: Final = 256
_PROMPTS: Final = {"completions": "prompt", "chat": "messages", "tasks": "code"}


@dataclass(frozen=True, slots=True)
class Vocabularies:
    """The tokenizers of those models for which one was named."""

    by_model: Mapping[str, "Tokenizer"] = field(default_factory=dict)

    @classmethod
    def load(cls, files: Mapping[str, Path]) -> Self:
        """Raises SettingsError."""
        return cls({model: _tokenizer(model, file) for model, file in files.items()})

    async def check(self, body: Body, *, model: str, limit_tokens: int) -> None:
        """Raises PromptTooLong, or InvalidRequest for an answer that no context holds."""
        if body.max_tokens > limit_tokens:
            raise InvalidRequest(
                f"{body.max_tokens} tokens are more than the model's context of {limit_tokens}",
                param="max_tokens",
            )
        # What a call of a chain will read is known when it is made; some prompts are cut to fit.
        if body.stages or "truncate_prompt_tokens" in body.extra:
            return
        length = await self._length(body, self.by_model.get(model), limit_tokens)
        if length.tokens > limit_tokens:
            raise PromptTooLong(
                f"the prompt has {length} and the model's context {limit_tokens}; "
                "send a shorter one",
                param=_PROMPTS[body.route],
            )

    async def _length(
        self, body: Body, tokenizer: "Tokenizer | None", limit_tokens: int
    ) -> "_Length":
        ids = body.extra.get("prompt_token_ids")
        if isinstance(ids, list):
            return _Length(tokens=len(ids), is_exact=True)
        texts = tuple(body.texts())
        if tokenizer is None:
            chars = sum(map(len, texts))
            return _Length(tokens=-(-chars // _LONGEST_TOKEN_CHARS), chars=chars)
        # No token is shorter than a byte, and most prompts are much shorter than the context.
        size_bytes = sum(len(text.encode()) for text in texts)
        if size_bytes <= limit_tokens:
            return _Length(tokens=0)
        return _Length(tokens=await _counted(tokenizer, texts), is_exact=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Length:
    """Of a prompt, at least."""

    tokens: int
    chars: int = 0
    is_exact: bool = False

    def __str__(self) -> str:
        if self.is_exact:
            return f"{self.tokens} tokens"
        return f"{self.chars} characters, at least {self.tokens} tokens,"


async def _counted(tokenizer: "Tokenizer", texts: Sequence[str]) -> int:
    """In a thread, by the one method that leaves the event loop its turn meanwhile."""
    counted = await asyncio.to_thread(
        tokenizer.encode_batch_fast, list(texts), add_special_tokens=False
    )
    return sum(len(encoding.ids) for encoding in counted)


def _tokenizer(model: str, file: Path) -> "Tokenizer":
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise SettingsError(
            "CATO_TOKENIZERS needs a package that is missing: pip install cato[embedded]"
        ) from error
    try:
        tokenizer = Tokenizer.from_file(str(file))
    # The library raises nothing narrower.
    except Exception as error:
        raise SettingsError(f"CATO_TOKENIZERS: {file}, of {model}, is none: {error}") from error
    # Its file may say that whatever is longer is cut off, or filled up.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
