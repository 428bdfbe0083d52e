"""Whether code parses is asked of a parser that is named, and of nobody else."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

from shared.tasks.grammars import GRAMMARS
from shared.tasks.parsing import PARSERS, code_in, parser_of, parses

PROGRAMS: Final = Path(__file__).parents[1] / "data" / "programs"
SAID: Final = "Here is the code that you asked for.\n\n"


def programs_in(language: str) -> Sequence[str]:
    paths = (path for path in PROGRAMS.iterdir() if parser_of(path.stem) == language)
    return [path.read_text() for path in sorted(paths)]


WELL_FORMED: Final[Mapping[str, Sequence[str]]] = {
    "python": ["def f(x):\n    return x"],
    "json": ['{"a": [1]}'],
    "toml": ["[a]\nb = 1"],
    **{language: programs_in(language) for language in GRAMMARS},
}


@pytest.mark.parametrize("language", PARSERS)
def test_well_formed_code_parses_and_a_torn_piece_of_it_does_not(language: str) -> None:
    assert WELL_FORMED[language] != []
    for code in WELL_FORMED[language]:
        assert parses(language, code)
        assert parses(language, f"Here it is:\n\n```{language}\n{code}\n```\nDone.")
        assert not parses(language, "(" + code)


@pytest.mark.parametrize("language", GRAMMARS)
def test_a_program_that_ends_too_early_does_not_parse(language: str) -> None:
    for code in WELL_FORMED[language]:
        assert not parses(language, code[: len(code) // 2])
        assert not parses(language, code[: len(code) * 2 // 3])


# What is said in words is a command with arguments to a shell.
@pytest.mark.parametrize("language", [each for each in PARSERS if each != "bash"])
def test_words_around_code_that_stands_in_no_fence_do_not_parse(language: str) -> None:
    for code in WELL_FORMED[language]:
        assert not parses(language, SAID + code)
    assert not parses(language, SAID)


@pytest.mark.parametrize("language", ["python", "json", "toml"])
@pytest.mark.parametrize(
    "hostile",
    ["(" * 50_000, "[" * 50_000, "-" * 50_000, "\0", "\ud800", "a." * 5_000, "=[" * 50_000],
)
def test_what_a_parser_cannot_bear_does_not_parse(language: str, hostile: str) -> None:
    assert not parses(language, hostile)


@pytest.mark.parametrize("language", GRAMMARS)
@pytest.mark.parametrize("hostile", ["(" * 1_000, "\ud800", "=[(" * 300])
def test_what_a_grammar_cannot_bear_does_not_parse(language: str, hostile: str) -> None:
    assert not parses(language, hostile)


def test_who_never_parses_loads_no_grammar() -> None:
    asked = "import sys, shared.tasks.parsing; sys.exit('tree_sitter' in sys.modules)"

    subprocess.run([sys.executable, "-c", asked], check=True)


def test_only_the_first_fenced_piece_is_code() -> None:
    assert code_in("so:\n```py\nx = 1\n```\nor\n```py\ny = 2\n```") == "x = 1"
    assert code_in("````md\n```\ninner\n```\n````") == "```\ninner\n```"
    assert code_in("x = 1") == "x = 1"


@pytest.mark.parametrize(
    ("written", "known"),
    [
        *(
            ("Python", "python"),
            (" py ", "python"),
            ("python3", "python"),
            ("Python 3.12", "python"),
        ),
        *(("JSON", "json"), ("Go", "go"), ("golang", "go"), ("Rust", "rust"), ("rs", "rust")),
        *(("C", "c"), ("C99", "c"), ("C++", "c++"), ("cpp", "c++"), ("C++2a", "c++")),
        *(("C#", "c#"), ("CSharp", "c#"), ("C# 12", "c#"), ("Java 21", "java")),
        *(("JS", "javascript"), ("node.js", "javascript"), ("ES2022", "javascript")),
        *(("ts", "typescript"), ("TSX", "typescript"), ("sh", "bash"), ("Shell", "bash")),
        *(("kt", "kotlin"), ("rb", "ruby"), ("PHP 8.3", "php"), ("Scala-3", "scala")),
        *(("Cobol", None), ("", None), ("3", None), ("c--", None)),
    ],
)
def test_a_language_is_known_however_it_is_written(written: str, known: str | None) -> None:
    assert parser_of(written) == known
