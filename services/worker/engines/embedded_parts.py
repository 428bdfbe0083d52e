"""What the embedded engine computes with: model, vocabulary, and how they begin with a job."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from services.worker.engines.embedded_batch import Step
from services.worker.engines.embedded_choice import Choice, Chosen
from services.worker.engines.embedded_model import EmbeddedModel
from services.worker.engines.embedded_text import (
    Opening,
    Vocabulary,
    Writer,
    is_endless,
    prompt_of,
    stops_of,
)
from services.worker.engines.vllm_wire import given_token_ids
from shared.messages.body import Body


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """`temperature` and `top_p` are the model's own, where a client asks for none."""

    model: EmbeddedModel
    vocabulary: Vocabulary
    places: int
    temperature: float
    top_p: float

    @classmethod
    def load(cls, folder: Path, *, places: int, threads: int) -> Self:
        """Raises SettingsError."""
        model = EmbeddedModel.load(folder, places=places, threads=threads)
        vocabulary = Vocabulary.read(folder / "tokenizer.json", words=model.shape.words)
        path = folder / "generation_config.json"
        defaults = json.loads(path.read_bytes()) if path.is_file() else {}
        return cls(
            model=model,
            vocabulary=vocabulary,
            places=places,
            temperature=float(defaults.get("temperature", 0.0)),
            top_p=float(defaults.get("top_p", 1.0)),
        )

    def warm_up(self) -> None:
        """The runtime lays out its memory at the first step of each kind."""
        self.model.prefill(0, [self.vocabulary.end] * 2, 0)
        self.model.decode([self.vocabulary.end], [2])

    def opening(self, body: Body) -> Opening:
        """Raises EngineRefused for token ids that the model lacks."""
        given = given_token_ids(body, vocabulary=self.model.shape.words)
        return self.vocabulary.opening(prompt_of(body)) if given is None else Opening(tokens=given)

    def writer(self, opening: Opening) -> Writer:
        return Writer(self.vocabulary, opening.cut)

    def stops(self, body: Body) -> tuple[str, ...]:
        return stops_of(body)

    def choice(self, body: Body, opening: Opening) -> Choice:
        never = [*self.vocabulary.marks, *([self.vocabulary.end] if is_endless(body) else [])]
        anew = self.vocabulary.anew(opening.cut)
        return Choice.of(
            body, temperature=self.temperature, top_p=self.top_p, never=never, anew=anew
        )

    def compute(self, step: Step, choices: Sequence[Choice]) -> list[Chosen]:
        """One token for each that the step emits; called in the engine's thread."""
        for move in step.moves:
            self.model.move(move.source, move.target, move.member.cached)
        rows = []
        if step.decoding:
            last = [member.tokens[member.cached] for member in step.decoding]
            rows += list(self.model.decode(last, [member.cached for member in step.decoding]))
        if (reading := step.prefilling) is not None:
            chunk = reading.tokens[reading.cached : reading.cached + step.chunk_tokens]
            rows.append(self.model.prefill(self.places - 1, chunk, reading.cached))
        # The scores of a chunk that is not the prompt's last are nobody's.
        return [choice.chosen(row) for choice, row in zip(choices, rows, strict=False)]
