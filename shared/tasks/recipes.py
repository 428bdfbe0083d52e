"""Recipes are chains that people need again and again, written down as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.domain.chain import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """`wants` are the fields without which there is nothing to do; `{target_language}` in
    `unless_parses` stands for the client's. A stage named in `over_files` runs once for each file.
    """

    name: str
    wants: tuple[str, ...]
    stages: tuple[Stage, ...]
    over_files: str | None = None


TRANSLATION: Final = Recipe(
    name="translation",
    wants=("code", "target_language"),
    stages=(
        Stage(
            name="summary",
            kind="summarization",
            prompt="Tell a programmer who will write it anew in {target_language} what this "
            "{language} code does: inputs, results, effects, errors, edge cases.\n\n{code}",
            max_tokens=256,
        ),
        Stage(
            name="draft",
            kind="translation",
            prompt="Translate this {language} code to {target_language}. Keep its behaviour, use "
            "the idioms of the target language, answer with code only. {instruction}\n\n"
            "What it does:\n{summary}\n\n{code}",
            max_tokens=2048,
        ),
        Stage(
            name="repair",
            kind="translation",
            prompt="This {target_language} code is not well-formed: it does not parse. Mend it and "
            "change nothing else; answer with the whole code only.\n\n{draft}",
            max_tokens=2048,
            unless_parses="{target_language}",
        ),
    ),
)

DOCUMENTATION: Final = Recipe(
    name="documentation",
    wants=("files",),
    over_files="summaries",
    stages=(
        Stage(
            name="summaries",
            kind="summarization",
            prompt="Summarize this file of a repository for its documentation: purpose, public "
            "names, what it needs of other files.\n\n{item}",
            max_tokens=256,
        ),
        Stage(
            name="overview",
            kind="documentation",
            prompt="Write the overview of a repository from the summaries of its files: what it "
            "is for, how its parts work together, where to begin. Answer in Markdown. "
            "{instruction}\n\n{summaries}",
            max_tokens=1024,
        ),
    ),
)

RECIPES: Final[Mapping[str, Recipe]] = {
    "translation": TRANSLATION,
    "documentation": DOCUMENTATION,
}
