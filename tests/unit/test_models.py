"""What the shipped model learns from, and what it is measured by."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from deploy.models.architecture import END, FIM_MIDDLE, FIM_PREFIX, FIM_SUFFIX, MODEL
from deploy.models.corpus import Document, is_held_out, standard_library
from deploy.models.evaluate import Infill, Share, infills, row
from deploy.models.examples import Examples
from deploy.models.holes import rest_of_line
from deploy.models.ngram import NGrams
from deploy.models.step_times import fitted, steps
from shared.scheduling.fitting import Timing
from shared.scheduling.step_time import StepTime

TEXT = "import os\n\ndef f(path):\n    return os.path.join(path)\n"


@pytest.mark.parametrize("name", ["asyncio/tasks.py", "asyncio/queues.py", "tokenize.py"])
def test_some_modules_are_never_trained_on(name: str) -> None:
    assert is_held_out(name)


@pytest.mark.parametrize("name", ["argparse.py", "json/decoder.py", "_pydecimal.py"])
def test_most_modules_are_trained_on(name: str) -> None:
    assert not is_held_out(name)


@given(st.text("abcdefgh", min_size=1, max_size=8))
def test_a_twin_goes_with_its_module(name: str) -> None:
    assert is_held_out(f"_py{name}.py") == is_held_out(f"{name}.py") == is_held_out(f"{name}/a.py")


def test_the_held_out_part_is_small_and_neither_part_is_empty() -> None:
    documents = standard_library()
    chars = sum(len(document.text) for document in documents)
    unseen = sum(len(document.text) for document in documents if document.is_held_out)

    assert 0.02 < unseen / chars < 0.25
    assert not any("test" in document.name.split("/") for document in documents)


@given(st.integers())
def test_a_hole_is_the_rest_of_a_line_behind_its_indentation(seed: int) -> None:
    hole = rest_of_line(TEXT, Random(seed))

    assert TEXT[hole.end] == "\n"
    assert "\n" not in TEXT[hole.start : hole.end] != ""
    assert TEXT[TEXT.rfind("\n", 0, hole.start) + 1 : hole.start].strip()


def test_an_infill_without_a_mark_ends_where_its_suffix_goes_on() -> None:
    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    document = Document(name="argparse.py", text=TEXT * 8)
    examples = Examples([document], tokenizer, Random(0))

    rows = [tokenizer.decode(examples.row(256).tokens, skip_special_tokens=False) for _ in "0123"]

    told = [each for row in rows for each in row.split(END) if FIM_MIDDLE not in each]
    unmarked = [each.removeprefix(FIM_SUFFIX) for each in told if each.startswith(FIM_SUFFIX)]
    assert len(unmarked) > 4
    for suffix, written in (each.split(FIM_PREFIX) for each in unmarked):
        assert f"{written}{suffix}" in document.text


@pytest.mark.parametrize("tokens", [256, 512, 1024])
def test_rows_are_exactly_as_long_as_asked(tokens: int) -> None:
    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    examples = Examples([Document(name="a.py", text=TEXT * 99)], tokenizer, Random(0))

    rows = [examples.row(tokens) for _ in range(20)]

    assert {len(row.tokens) for row in rows} == {len(row.weights) for row in rows} == {tokens}


def test_what_followed_most_often_after_the_longest_known_context_comes_next() -> None:
    ngrams = NGrams([[1, 2, 3, 9, 1, 2, 3, 9, 5, 2, 3, 7]])

    assert ngrams.next([1, 2, 3]) == 9
    assert ngrams.next([5, 2, 3]) == 7
    assert ngrams.next([8, 8, 3]) == 9
    assert ngrams.next([8]) is None


def test_infills_come_from_held_out_modules_only_and_are_the_same_each_time() -> None:
    documents = [
        Document(name="argparse.py", text=TEXT),
        Document(name="asyncio/tasks.py", text=TEXT + "async def g(other):\n    await other()\n"),
    ]

    asked = list(infills(documents, 40))

    assert asked == list(infills(documents, 40))
    assert {f"{each.before}{each.wanted}{each.after}" for each in asked} == {documents[1].text}
    assert {each.is_new for each in asked} == {True, False}


def test_a_row_tells_what_was_right_new_and_parsed() -> None:
    asked = [
        Infill(before="x = ", wanted="1", after="\n", is_new=True),
        Infill(before="y = (", wanted="2)", after="\n", is_new=True),
    ]

    told = row("one", asked, ["1", "1"])

    assert told.count("0.500") == 3


def test_shares_have_wilsons_interval() -> None:
    # Newcombe, "Two-sided confidence intervals for the single proportion" (1998), table I.
    low, high = Share(hits=81, of=263).interval()

    assert low == pytest.approx(0.2553, abs=5e-5)
    assert high == pytest.approx(0.3662, abs=5e-5)


def test_step_times_that_follow_the_formula_are_found_again() -> None:
    true = StepTime(base_s=2e-3, prefill_s=5e-5, attention_s=4e-8, decode_s=1e-4, kv_s=2e-7)
    timings = [
        Timing(
            took_s=true.step_s(
                prefill_tokens=step.chunk_tokens,
                prefill_context=step.chunk_tokens * read,
                sequences=len(step.decoding),
                kv_tokens=step.kv_tokens(),
            ),
            prefill_tokens=step.chunk_tokens,
            prefill_context=step.chunk_tokens * read,
            sequences=len(step.decoding),
            kv_tokens=step.kv_tokens(),
        )
        for step in steps()
        for read in [step.prefilling.cached if step.prefilling else 0]
    ]

    assert fitted(timings).coefficients() == pytest.approx(true.coefficients())
