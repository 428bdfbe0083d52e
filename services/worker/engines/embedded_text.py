"""Text becomes tokens and tokens become text; a token may end in the middle of a character."""

import codecs
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
# Of a longer word only the last tokens can have been cut: each is looked up in all of the words.
_MOST_CUT_TOKENS: Final = 8


def prompt_of(body: Body) -> str:
    """Where there is a suffix it comes first, and the answer goes on in the prefix.

    The mark of the middle is left out: a model trained so briefly forgets behind it in which word
    the cursor was. A chat has no template: this model writes on, in an open block of code if there
    is one.
    """
    if body.route == "chat":
        turns = "\n".join(message.text() for message in body.messages)
        return turns.rstrip().removesuffix(_FENCE)
    prompt = body.prompt or ""
    if body.suffix is None:
        return prompt
    return f"{_FIM.between}{body.suffix}{_FIM.opening}{prompt}"


def stops_of(body: Body) -> tuple[str, ...]:
    """What ends an answer beside the model; between two texts it writes the rest of one line."""
    if body.suffix is None or is_endless(body):
        return body.stop
    rest_of_line = body.suffix.partition("\n")[0].strip()
    return (*body.stop, "\n", *([rest_of_line] if rest_of_line else []))


def is_endless(body: Body) -> bool:
    return body.extra.get("ignore_eos") is True


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A prompt, but for the tokens of a last word that may have been cut: those are chosen anew.

    "Token healing": behind `retu` no model writes `rn`, having read `return` as one token only.
    """

    tokens: list[int]
    cut: tuple[int, ...] = ()

    def length(self) -> int:
        """Tokens of the whole prompt."""
        return len(self.tokens) + len(self.cut)


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
        return self._split(text)[0]

    def opening(self, text: str) -> Opening:
        """A line's end and its indentation are whole, and so is whatever is all there is."""
        tokens, words = self._split(text)
        word = words.index(words[-1])
        begin = max(word, len(tokens) - _MOST_CUT_TOKENS)
        letters = self._letters(tokens[begin:])
        if word == 0 or (not letters.strip() and letters != b" "):
            return Opening(tokens=tokens)
        return Opening(tokens=tokens[:begin], cut=tuple(tokens[begin:]))

    def anew(self, cut: Sequence[int]) -> list[list[int]]:
        """For each token that was cut: itself, then those that begin with all the rest of them."""
        allowed = []
        for place, token in enumerate(cut):
            rest = self._letters(cut[place:])
            longer = [each for each, its in self._bytes.items() if its.startswith(rest)]
            allowed.append([token, *longer])
        return allowed

    def bytes_of(self, token: int) -> bytes:
        return self._bytes[token]

    def _split(self, text: str) -> tuple[list[int], Sequence[int | None]]:
        """Its tokens, never none, and in which word each lies; marks lie in none."""
        # What no encoding can hold is no code either; the door refuses it, an engine replaces it.
        valid = text.encode(errors="replace").decode()
        # Unlike `encode` it lets other threads run meanwhile.
        (encoding,) = self._tokenizer.encode_batch([valid], add_special_tokens=False)
        return (encoding.ids, encoding.word_ids) if encoding.ids else ([self.end], [None])

    def _letters(self, tokens: Sequence[int]) -> bytes:
        return b"".join(self._bytes[token] for token in tokens)


class Writer:
    """Puts the bytes of tokens together to characters; those of `cut` stand in the prompt."""

    def __init__(self, vocabulary: Vocabulary, cut: Sequence[int] = ()) -> None:
        self._vocabulary = vocabulary
        self._known = sum(len(vocabulary.bytes_of(token)) for token in cut)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def write(self, token: int) -> str:
        letters = self._vocabulary.bytes_of(token)
        written, self._known = self._known, max(0, self._known - len(letters))
        return self._decoder.decode(letters[written:])

    def would_write(self, token: int) -> str:
        """As far as it is known from this token alone."""
        return self._vocabulary.bytes_of(token)[self._known :].decode(errors="replace")

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
