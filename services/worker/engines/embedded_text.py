"""Text becomes tokens and tokens become text; a token may end in the middle of a character."""

import codecs
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Self

from tokenizers import Tokenizer

from shared.domain.errors import SettingsError
from shared.messages.body import Body
from shared.tasks.fim import FIM_TEMPLATES

END: Final = "<|endoftext|>"
_FIM: Final = FIM_TEMPLATES["qwen2.5-coder"]
_MARKS: Final = (END, _FIM.opening, _FIM.between, _FIM.closing)
_FENCE: Final = "```"


def prompt_of(body: Body) -> str:
    """Where there is a suffix it comes first, so that the answer goes on close behind the prefix.

    A chat has no template: this model writes on, in an open block of code if there is one.
    """
    if body.route == "chat":
        turns = "\n".join(message.text() for message in body.messages)
        return turns.rstrip().removesuffix(_FENCE)
    prompt = body.prompt or ""
    if body.suffix is None:
        return prompt
    return f"{_FIM.between}{body.suffix}{_FIM.opening}{prompt}{_FIM.closing}"


class Vocabulary:
    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._bytes = dict(_bytes_of(tokenizer.get_vocab(with_added_tokens=False)))
        self.end: Final = tokenizer.get_vocab()[END]
        self.marks: Final = [
            token for token in tokenizer.get_added_tokens_decoder() if token != self.end
        ]
        for token in (self.end, *self.marks):
            self._bytes[token] = b""

    @classmethod
    def read(cls, file: Path, *, words: int) -> Self:
        """Raises SettingsError when it is not the tokenizer of a model of so many words."""
        try:
            tokenizer = Tokenizer.from_file(str(file))
        # The library raises nothing narrower.
        except Exception as error:
            raise SettingsError(f"CATO_ENGINE_MODEL: {file} is no tokenizer: {error}") from error
        lacking = [mark for mark in _MARKS if tokenizer.token_to_id(mark) is None]
        if lacking:
            raise SettingsError(f"CATO_ENGINE_MODEL: {file} lacks the marks {', '.join(lacking)}")
        if tokenizer.get_vocab_size() != words:
            raise SettingsError(
                f"CATO_ENGINE_MODEL: {file} has {tokenizer.get_vocab_size()} words and the model"
                f" {words}; they belong to different models"
            )
        return cls(tokenizer)

    def tokens(self, text: str) -> list[int]:
        # What no encoding can hold is no code either; the door refuses it, an engine replaces it.
        valid = text.encode(errors="replace").decode()
        return list(self._tokenizer.encode(valid, add_special_tokens=False).ids) or [self.end]

    def bytes_of(self, token: int) -> bytes:
        return self._bytes[token]


class Writer:
    """Puts the bytes of tokens together to characters."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def write(self, token: int) -> str:
        return self._decoder.decode(self._vocabulary.bytes_of(token))

    def rest(self) -> str:
        return self._decoder.decode(b"", final=True)


def _bytes_of(words: Mapping[str, int]) -> Iterator[tuple[int, bytes]]:
    letters = _letters()
    for word, token in words.items():
        if all(letter in letters for letter in word):
            yield token, bytes(letters[letter] for letter in word)


def _letters() -> dict[str, int]:
    """The letters that stand for bytes in byte-level vocabularies, as GPT-2's encoder has them."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = (byte for byte in range(256) if byte not in shown)
    return {chr(byte): byte for byte in shown} | {
        chr(256 + order): byte for order, byte in enumerate(hidden)
    }
