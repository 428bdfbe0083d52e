"""Whether code parses is asked of a parser that is named, and of nobody else."""

import pytest

from shared.tasks.parsing import PARSERS, code_in, parser_of, parses

WELL_FORMED = {
    "python": "def f(x):\n    return x",
    "json": '{"a": [1]}',
    "toml": "[a]\nb = 1",
}


@pytest.mark.parametrize("language", PARSERS)
def test_well_formed_code_parses_and_a_torn_piece_of_it_does_not(language: str) -> None:
    assert parses(language, WELL_FORMED[language])
    assert parses(language, f"Here it is:\n\n```{language}\n{WELL_FORMED[language]}\n```\nDone.")
    assert not parses(language, "(" + WELL_FORMED[language])


@pytest.mark.parametrize("language", PARSERS)
@pytest.mark.parametrize(
    "hostile",
    ["(" * 50_000, "[" * 50_000, "-" * 50_000, "\0", "\ud800", "a." * 5_000, "=[" * 50_000],
)
def test_what_a_parser_cannot_bear_does_not_parse(language: str, hostile: str) -> None:
    assert not parses(language, hostile)


def test_only_the_first_fenced_piece_is_code() -> None:
    assert code_in("so:\n```py\nx = 1\n```\nor\n```py\ny = 2\n```") == "x = 1"
    assert code_in("````md\n```\ninner\n```\n````") == "```\ninner\n```"
    assert code_in("x = 1") == "x = 1"


@pytest.mark.parametrize(
    ("written", "known"),
    [("Python", "python"), (" py ", "python"), ("JSON", "json"), ("Go", None), ("", None)],
)
def test_a_language_is_known_however_it_is_written(written: str, known: str | None) -> None:
    assert parser_of(written) == known
