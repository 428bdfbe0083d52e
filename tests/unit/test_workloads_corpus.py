"""Prompts are real code: they parse, they fit together again, they are as long as asked."""

import ast
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from random import Random
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.workloads.arrival import Arrival
from loadgen.workloads.corpus import CHARS_PER_TOKEN, Corpus
from loadgen.workloads.errors import CorpusEmpty
from loadgen.workloads.mixes import ROUTES
from loadgen.workloads.phrasing import ASKING, LANGUAGES
from loadgen.workloads.sources import Library, standard_library

CORPUS = Corpus.of_standard_library()
QUESTIONS = tuple(ASKING)

SHORT_FILE = '''
def area(width, height):
    """How much paint a wall takes."""
    surface = width * height
    return surface
'''.lstrip()


def an_arrival(
    *,
    kind: str = "completion",
    cut: int = 1,
    prompt_tokens: int = 400,
    output_tokens: int = 14,
    typed_chars: int = 0,
) -> Arrival:
    return Arrival(
        at_s=0.0,
        kind=kind,
        route=ROUTES[kind],
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        tenant="tenant-1",
        cut=cut,
        seed=1,
        typed_chars=typed_chars,
        language="rust" if kind == "translation" else None,
    )


def a_corpus_of(folder: Path, *texts: str) -> Corpus:
    for index, text in enumerate(texts):
        (folder / f"module_{index}.py").write_text(text + "#" * 2_000 + "\n")
    return Corpus(Library(folder))


def texts_of_the_library() -> Sequence[str]:
    library = standard_library()
    return [library.choose(Random(seed), at_least_chars=0).text for seed in range(20)]


@given(cut=st.integers(0, 2**62), tokens=st.integers(700, 8_000), output=st.integers(1, 100))
def test_prefix_middle_and_suffix_are_the_file_when_it_fits(
    tmp_path_factory: pytest.TempPathFactory, cut: int, tokens: int, output: int
) -> None:
    corpus = a_corpus_of(tmp_path_factory.mktemp("short"), SHORT_FILE)
    file = SHORT_FILE + "#" * 2_000 + "\n"

    prompt = corpus.render(an_arrival(cut=cut, prompt_tokens=tokens, output_tokens=output))

    assert prompt.suffix is not None and prompt.middle is not None
    assert prompt.text + prompt.middle + prompt.suffix == file
    assert prompt.middle
    assert prompt.text.count("\n") < SHORT_FILE.count("\n")


@settings(deadline=None)
@given(
    cut=st.integers(0, 2**62),
    prompt_tokens=st.integers(1, 8_000),
    output_tokens=st.integers(1, 500),
    typed_chars=st.integers(0, 3_000),
)
def test_a_completion_is_one_piece_of_code_and_longer_than_asked_by_less_than_a_token(
    cut: int, prompt_tokens: int, output_tokens: int, typed_chars: int
) -> None:
    arrival = an_arrival(
        cut=cut,
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        typed_chars=typed_chars,
    )

    prompt = CORPUS.render(arrival)

    assert prompt == CORPUS.render(arrival)
    assert prompt.suffix is not None and prompt.middle is not None
    assert len(prompt.text + prompt.suffix) < (prompt_tokens + 1) * CHARS_PER_TOKEN
    assert prompt.messages == ()


def test_a_long_completion_is_as_long_as_asked() -> None:
    for cut in range(50):
        prompt = CORPUS.render(an_arrival(cut=cut, prompt_tokens=1_400))

        assert len(prompt.text + (prompt.suffix or "")) >= 1_400 * CHARS_PER_TOKEN * 0.95


def test_the_prefix_grows_as_the_writer_types_and_never_moves() -> None:
    rendered = [
        CORPUS.render(an_arrival(cut=5, prompt_tokens=400 + typed // 4, typed_chars=typed)).text
        for typed in range(0, 60, 3)
    ]

    for shorter, longer in pairwise(rendered):
        assert longer.startswith(shorter)
        assert len(longer) == len(shorter) + 3


@settings(deadline=None)
@given(kind=st.sampled_from(QUESTIONS), cut=st.integers(0, 2**62), tokens=st.integers(16, 8_000))
def test_the_code_of_every_question_parses(kind: str, cut: int, tokens: int) -> None:
    prompt = CORPUS.render(an_arrival(kind=kind, cut=cut, prompt_tokens=tokens))

    ast.parse(prompt.code)
    assert prompt.code in prompt.text
    assert prompt.messages == ({"role": "user", "content": prompt.text},)
    assert prompt.suffix is None


@pytest.mark.parametrize("kind", QUESTIONS)
@pytest.mark.parametrize("tokens", [60, 300, 900, 4_000, 8_000])
def test_questions_are_about_as_long_as_asked(kind: str, tokens: int) -> None:
    shares = [
        len(CORPUS.render(an_arrival(kind=kind, cut=cut, prompt_tokens=tokens)).text)
        / (tokens * CHARS_PER_TOKEN)
        for cut in range(40)
    ]

    assert mean(shares) == pytest.approx(1, abs=0.1)
    assert sum(0.8 <= share <= 1.2 for share in shares) >= 36


def test_what_is_to_be_implemented_ends_with_its_docstring() -> None:
    for cut in range(50):
        prompt = CORPUS.render(an_arrival(kind="generation", cut=cut))
        last = ast.parse(prompt.code).body[-1]

        assert isinstance(last, ast.FunctionDef | ast.AsyncFunctionDef)
        assert len(last.body) == 1
        assert ast.get_docstring(last) is not None


def test_what_is_to_be_translated_is_functions_and_names_the_language() -> None:
    for cut in range(50):
        prompt = CORPUS.render(an_arrival(kind="translation", cut=cut))

        assert LANGUAGES["rust"] in prompt.text
        assert all(
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for node in ast.parse(prompt.code).body
        )


def test_different_cuts_ask_different_things() -> None:
    texts = {CORPUS.render(an_arrival(cut=cut)).text for cut in range(100)}

    assert len(texts) == 100


def test_the_library_holds_no_tests_and_is_always_the_same() -> None:
    assert texts_of_the_library() == texts_of_the_library()
    assert len(standard_library()) == 150


def test_a_form_feed_does_not_shift_the_lines(tmp_path: Path) -> None:
    corpus = a_corpus_of(tmp_path, '"""Pages."""\n\x0c\n' + SHORT_FILE)

    prompt = corpus.render(an_arrival(kind="summarization"))

    assert prompt.code == SHORT_FILE.rstrip()


def test_code_whose_strings_forbid_moving_it_is_left_out(tmp_path: Path) -> None:
    stuck = 'class Poem:\n    def lines(self):\n        """x"""\n        return """\nroses\n"""\n'
    corpus = a_corpus_of(tmp_path, SHORT_FILE + stuck)

    codes = {corpus.render(an_arrival(kind="translation", cut=cut)).code for cut in range(20)}

    assert codes == {SHORT_FILE.rstrip()}


def test_a_link_that_leads_nowhere_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "gone.py").symlink_to(tmp_path / "absent.py")

    assert a_corpus_of(tmp_path, SHORT_FILE).render(an_arrival()).middle


def test_a_folder_without_functions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusEmpty, match="expected Python files with functions"):
        Library(tmp_path)
    with pytest.raises(CorpusEmpty, match="expected Python files with functions"):
        a_corpus_of(tmp_path, "x = 1\n").render(an_arrival())
