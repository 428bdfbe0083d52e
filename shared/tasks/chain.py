"""What a chain may be, how a step's prompt is made of earlier answers, what it will cost."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from shared.domain.chain import Stage
from shared.domain.task import BYTES_PER_TOKEN, Prediction
from shared.tasks.coding_task import Turns, fenced

MOST_STAGES: Final = 64
MOST_BRANCHES: Final = 64
MOST_STEPS: Final = 256
MOST_OUTPUT_BYTES: Final = 256 * 1024
MOST_KEPT_BYTES: Final = 1024 * 1024

GIVEN: Final = ("input", "code", "instruction", "language", "target_language")
PREVIOUS: Final = "previous"
ITEM: Final = "item"

# How often a step that depends on an answer is needed: before anything is known, half the time.
_PERHAPS: Final = 0.5
_SYSTEM_TOKENS: Final = 30

_MARK: Final = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}")
_BRACES: Final = {"{{": "{", "}}": "}"}

Answers = Mapping[int, tuple[str, ...]]
Expect = Callable[[Stage, int], Prediction]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The stages, and what the client gave them to work on."""

    stages: tuple[Stage, ...]
    given: Mapping[str, str] = field(default_factory=dict)

    def previous(self, answers: Answers, before: int) -> str:
        """What the last stage before this one answered that was not left out."""
        ran = [stage for stage in answers if stage < before]
        return joined(answers[max(ran)]) if ran else ""

    def prompts(self, stage: int, answers: Answers) -> tuple[str, ...]:
        """One prompt for each branch of a stage whose turn it is."""
        asked = self.stages[stage]
        values = {
            **dict.fromkeys(GIVEN, ""),
            **self.given,
            **{self.stages[at].name: joined(texts) for at, texts in answers.items()},
            PREVIOUS: self.previous(answers, stage),
        }
        return tuple(fill(asked.prompt, {**values, ITEM: item}) for item in asked.over or ("",))

    def predictions(self, expect: Expect, answers: Answers | None = None) -> tuple[Prediction, ...]:
        """One call of each stage that is to come, the answers in between as expected.

        `expect` knows how long the answer to a prompt of so many tokens becomes.
        """
        done = answers or {}
        tokens = {name: tokens_in(text) for name, text in self.given.items()}
        tokens |= {self.stages[at].name: tokens_in(joined(texts)) for at, texts in done.items()}
        tokens[PREVIOUS] = tokens_in(self.previous(done, len(self.stages)))
        predicted = []
        for stage in self.stages[max(done, default=-1) + 1 :]:
            tokens[ITEM] = max(map(tokens_in, stage.over), default=0)
            one = expect(stage, _prompt_tokens(stage.prompt, tokens))
            predicted.append(one)
            tokens[stage.name] = tokens[PREVIOUS] = one.output_tokens_p50 * stage.branches
        return tuple(predicted)


def given_of(
    *, code: str | None, instruction: str | None, language: str | None, target: str | None
) -> Mapping[str, str]:
    """What templates call what the client sent; {code} stands between fences."""
    return {
        "input": code or instruction or "",
        "code": fenced(code, language) if code else "",
        "instruction": instruction or "",
        "language": language or "the given",
        "target_language": target or "another language",
    }


def joined(texts: Sequence[str]) -> str:
    return "\n\n".join(texts)


def fill(template: str, values: Mapping[str, str]) -> str:
    """Marks in what is filled in stay as they are; doubled braces become single ones."""

    def filled(mark: re.Match[str]) -> str:
        name = mark.group(1)
        return _BRACES[mark.group()] if name is None else values.get(name, mark.group())

    return _MARK.sub(filled, template)


def marks(template: str) -> Iterator[str]:
    """The names that a template wants to be filled in."""
    return (mark.group(1) for mark in _MARK.finditer(template) if mark.group(1) is not None)


def turns(system: str, prompt: str) -> Turns:
    return ("system", system), ("user", prompt)


def likelihood(stage: Stage) -> float:
    """How likely is it that the stage will run?"""
    return 1.0 if stage.unless_parses is None else _PERHAPS


def tokens_in(text: str) -> int:
    """Roughly, before a tokenizer has seen it."""
    return round(len(text.encode("utf-8", "replace")) / BYTES_PER_TOKEN)


def _prompt_tokens(template: str, tokens: Mapping[str, int]) -> int:
    own = tokens_in(_MARK.sub("", template))
    return max(1, _SYSTEM_TOKENS + own + sum(tokens.get(name, 0) for name in marks(template)))
