"""How good the model is on modules that it never saw: `python -m deploy.models.evaluate`.

The rest of a line is to be written, at places drawn from the held-out part of this interpreter's
standard library; beside the model answer a counted one (n-grams of the same training text) and
one that writes nothing.
"""

import argparse
import ast
import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import count
from math import sqrt
from pathlib import Path
from random import Random
from typing import Final

from deploy.models.architecture import MODEL, Architecture
from deploy.models.corpus import Document, standard_library
from deploy.models.holes import rest_of_line
from deploy.models.ngram import NGrams
from services.worker.engine import Engine, Job, JobId
from services.worker.engines import ENGINES
from services.worker.engines.embedded_text import Vocabulary, Writer
from services.worker.engines.settings import EngineSettings
from shared.adapters.clock import SystemClock
from shared.domain.task import Prediction
from shared.messages.body import Body

_INFILLS: Final = 4000
# About what an editor sends.
_BEFORE_CHARS: Final = 1200
_AFTER_CHARS: Final = 400
_LONGEST_ANSWER_TOKENS: Final = 48
_Z95: Final = 1.96
_NUMBERS: Final = count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Infill:
    """`is_new`: the whole line stands nowhere in what the model was trained on."""

    before: str
    wanted: str
    after: str
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """So many of so many, with Wilson's interval of 95 % (1927)."""

    hits: int
    of: int

    def interval(self) -> tuple[float, float]:
        share, z2 = self.hits / self.of, _Z95**2 / self.of
        spread = _Z95 * sqrt(share * (1 - share) / self.of + z2 / (4 * self.of))
        return (share + z2 / 2 - spread) / (1 + z2), (share + z2 / 2 + spread) / (1 + z2)

    def __str__(self) -> str:
        low, high = self.interval()
        return f"{self.hits / self.of:.3f} ({low:.3f} – {high:.3f})"


def infills(documents: Sequence[Document], count: int) -> Iterator[Infill]:
    """The same from the same library, about equally many from each held-out file."""
    known = {
        line.strip()
        for document in documents
        if not document.is_held_out
        for line in document.text.split("\n")
    }
    unseen = [document for document in documents if document.is_held_out]
    rng = Random(0)
    for number in range(count):
        text = unseen[number % len(unseen)].text
        hole = rest_of_line(text, rng)
        line_start = text.rfind("\n", 0, hole.start) + 1
        yield Infill(
            before=text[: hole.start],
            wanted=text[hole.start : hole.end],
            after=text[hole.end :],
            is_new=text[line_start : hole.end].strip() not in known,
        )


async def answered_by_model(engine: Engine, infill: Infill) -> str:
    """Greedily, as the engine serves it."""
    job = Job(
        id=JobId(f"{next(_NUMBERS)}@0.1"),
        kind="completion",
        body=Body(
            route="completions",
            prompt=infill.before[-_BEFORE_CHARS:],
            suffix=infill.after[:_AFTER_CHARS],
            max_tokens=_LONGEST_ANSWER_TOKENS,
            temperature=0.0,
        ),
        prediction=Prediction(prompt_tokens=400, output_tokens_p50=10, output_tokens_p90=20),
    )
    async with aclosing(engine.generate(job)) as pieces:
        return "".join([piece.text async for piece in pieces]).split("\n")[0]


async def answers_of_model(folder: Path, asked: Sequence[Infill]) -> list[str]:
    settings = EngineSettings(engine_model=str(folder), engine_threads=1, profile="embedded")
    engine = ENGINES["embedded"](settings, SystemClock())
    await engine.start()
    answers = await asyncio.gather(*(answered_by_model(engine, infill) for infill in asked))
    await engine.stop()
    return answers


def answered_by_counting(ngrams: NGrams, vocabulary: Vocabulary, infill: Infill) -> str:
    """With the same care for a word that the cursor cuts."""
    opening = vocabulary.opening(infill.before[-_BEFORE_CHARS:])
    anew = vocabulary.anew(opening.cut)
    tokens, writer, text = list(opening.tokens), Writer(vocabulary, opening.cut), ""
    for _ in range(_LONGEST_ANSWER_TOKENS):
        allowed = anew.pop(0) if anew else []
        token = ngrams.next(tokens, allowed)
        if token is None or "\n" in text:
            break
        if allowed and token != allowed[0]:
            anew.clear()
        tokens.append(token)
        text += writer.write(token)
    return text.split("\n")[0]


def row(name: str, asked: Sequence[Infill], answers: Sequence[str]) -> str:
    """One line of the table in the README."""
    right = [
        said.rstrip() == infill.wanted.rstrip() for said, infill in zip(answers, asked, strict=True)
    ]
    new = [hit for hit, infill in zip(right, asked, strict=True) if infill.is_new]
    parsed = [_parses(infill, said) for said, infill in zip(answers, asked, strict=True)]
    shares = [Share(hits=sum(each), of=len(each)) for each in (right, new, parsed)]
    return f"| {name} | {' | '.join(map(str, shares))} |\n"


def _parses(infill: Infill, said: str) -> bool:
    try:
        ast.parse(f"{infill.before}{said}{infill.after}")
    except (SyntaxError, ValueError):
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.models.evaluate", description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--infills", type=int, default=_INFILLS)
    options = parser.parse_args()
    documents = standard_library()
    asked = list(infills(documents, options.infills))
    vocabulary = Vocabulary.read(options.model / "tokenizer.json", words=Architecture().vocab_size)
    seen = (document.text for document in documents if not document.is_held_out)
    ngrams = NGrams(vocabulary.tokens(text) for text in seen)
    counted = [answered_by_counting(ngrams, vocabulary, infill) for infill in asked]
    written = asyncio.run(answers_of_model(options.model, asked))
    sys.stdout.write(f"{len(asked)} infills, {sum(each.is_new for each in asked)} of new lines\n")
    sys.stdout.write("| | right | right, of new lines | the file parses |\n|---|---|---|---|\n")
    sys.stdout.write(row("cato-code", asked, written))
    sys.stdout.write(row("n-grams", asked, counted))
    sys.stdout.write(row("nothing written", asked, [""] * len(asked)))


if __name__ == "__main__":
    main()
