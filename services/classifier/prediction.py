"""What a request will cost: its prompt can be counted roughly, its answer only be learned."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from shared.domain.chain import Stage
from shared.domain.task import BYTES_PER_TOKEN, Prediction
from shared.messages.body import Body
from shared.scheduling.lengths import OutputLengths
from shared.tasks import TASKS
from shared.tasks.chain import Chain, given_of

_TURN_TOKENS: Final = 5
# A template's own words around a native task.
_TEMPLATE_TOKENS: Final = 60
_SAMPLE_CHARS: Final = 2048

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
        self._lengths = OutputLengths({kind: task.prior for kind, task in TASKS.items()})
        self._bytes_per_token: dict[str, float] = {}

    def predict(self, kind: str, body: Body) -> Prediction:
        said = self._lengths.predict(kind, self._prompt_tokens(kind, body))
        return _at_most(body.max_tokens, said)

    def foresee(self, body: Body) -> tuple[Stage, ...]:
        """The stages of a chain, each with what one call of it is expected to cost."""
        given = given_of(
            code=body.code,
            instruction=body.instruction,
            language=body.language,
            target=body.target_language,
        )
        predicted = Chain(stages=body.stages, given=given).predictions(self._expect)
        return tuple(
            replace(stage, prediction=prediction)
            for stage, prediction in zip(body.stages, predicted, strict=True)
        )

    def learn_output(self, kind: str, *, prompt_tokens: int, output_tokens: int) -> None:
        self._lengths.learn(kind, prompt_tokens=prompt_tokens, output_tokens=output_tokens)

    def learn_prompt(self, kind: str, *, prompt_bytes: int, prompt_tokens: int) -> None:
        if prompt_tokens < _LEAST_TOKENS or prompt_bytes == 0:
            return
        before = self._bytes_per_token.get(kind, BYTES_PER_TOKEN)
        seen = prompt_bytes / prompt_tokens
        self._bytes_per_token[kind] = before + (seen - before) * (1 - 0.5 ** (1 / _RATIO_HALF_LIFE))

    def _expect(self, stage: Stage, prompt_tokens: int) -> Prediction:
        return _at_most(stage.max_tokens, self._lengths.predict(stage.kind, prompt_tokens))

    def _prompt_tokens(self, kind: str, body: Body) -> int:
        around = _TEMPLATE_TOKENS if body.route == "tasks" else _TURN_TOKENS * len(body.messages)
        ratio = self._bytes_per_token.get(kind, BYTES_PER_TOKEN)
        return max(1, around + round(size_bytes(body) / ratio))


def _at_most(max_tokens: int, said: Prediction) -> Prediction:
    return replace(
        said,
        output_tokens_p50=max(1, min(said.output_tokens_p50, max_tokens)),
        output_tokens_p90=max(1, min(said.output_tokens_p90, max_tokens)),
    )
