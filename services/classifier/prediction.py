"""What a request will cost: its prompt can be counted roughly, its answer only be learned."""

from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

from services.classifier.quantiles import Lengths
from shared.domain.task import Prediction
from shared.messages.body import Body
from shared.tasks import TASKS

# Source code in the vocabularies of present code models; text in Chinese is close to it in bytes.
_BYTES_PER_TOKEN: Final = 3.3
_TURN_TOKENS: Final = 5
# A template's own words around a native task.
_TEMPLATE_TOKENS: Final = 60
_SAMPLE_CHARS: Final = 2048

# Upper ends of the classes of prompts, in tokens: a longer prompt often has another answer.
_PROMPT_EDGES: Final = (256, 1024, 4096)
_RATIO_HALF_LIFE: Final = 100
_LEAST_TOKENS: Final = 8


def size_bytes(body: Body) -> int:
    """UTF-8 bytes that the model will read; long text is measured by samples of it."""
    return sum(_bytes(text) for text in _texts(body))


def _texts(body: Body) -> Iterator[str]:
    for turn in body.messages:
        yield turn.text()
    for text in (body.prompt, body.suffix, body.instruction, body.code):
        if text:
            yield text


def _bytes(text: str) -> int:
    if text.isascii():
        return len(text)
    sample = (
        text if len(text) <= 2 * _SAMPLE_CHARS else text[:_SAMPLE_CHARS] + text[-_SAMPLE_CHARS:]
    )
    return len(text) * len(sample.encode("utf-8", "replace")) // len(sample)


class Costs:
    """Learned from the tasks that ended; a new process begins with what the catalogue says."""

    def __init__(self) -> None:
        self._lengths: dict[tuple[str, int], Lengths] = {}
        self._quantiles: dict[tuple[str, int], tuple[int, int]] = {}
        self._bytes_per_token: dict[str, float] = {}

    def predict(self, kind: str, body: Body) -> Prediction:
        prompt_tokens = self._prompt_tokens(kind, body)
        p50, p90 = self._output_tokens(kind, _size_class(prompt_tokens))
        return Prediction(
            prompt_tokens=prompt_tokens,
            output_tokens_p50=max(1, min(p50, body.max_tokens)),
            output_tokens_p90=max(1, min(p90, body.max_tokens)),
        )

    def learn_output(self, kind: str, *, prompt_tokens: int, output_tokens: int) -> None:
        key = (kind, _size_class(prompt_tokens))
        self._lengths_of(key).learn(output_tokens)
        self._quantiles.pop(key, None)

    def learn_prompt(self, kind: str, *, prompt_bytes: int, prompt_tokens: int) -> None:
        if prompt_tokens < _LEAST_TOKENS or prompt_bytes == 0:
            return
        before = self._bytes_per_token.get(kind, _BYTES_PER_TOKEN)
        seen = prompt_bytes / prompt_tokens
        self._bytes_per_token[kind] = before + (seen - before) * (1 - 0.5 ** (1 / _RATIO_HALF_LIFE))

    def _prompt_tokens(self, kind: str, body: Body) -> int:
        around = _TEMPLATE_TOKENS if body.route == "tasks" else _TURN_TOKENS * len(body.messages)
        ratio = self._bytes_per_token.get(kind, _BYTES_PER_TOKEN)
        return max(1, around + round(size_bytes(body) / ratio))

    def _output_tokens(self, kind: str, size_class: int) -> tuple[int, int]:
        key = (kind, size_class)
        if key not in self._quantiles:
            lengths = self._lengths_of(key)
            self._quantiles[key] = (lengths.quantile(0.5), lengths.quantile(0.9))
        return self._quantiles[key]

    def _lengths_of(self, key: tuple[str, int]) -> Lengths:
        if key not in self._lengths:
            prior = TASKS[key[0]].prior
            self._lengths[key] = Lengths(p50=prior.output_tokens_p50, p90=prior.output_tokens_p90)
        return self._lengths[key]


def _size_class(prompt_tokens: int) -> int:
    return bisect_right(_PROMPT_EDGES, prompt_tokens)
