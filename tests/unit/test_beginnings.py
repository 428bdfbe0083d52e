"""Prompts that begin alike have numbers in common, and only those."""

from hypothesis import given
from hypothesis import strategies as st

from shared.scheduling.beginnings import TOKENS, beginnings


def common(one: str, other: str) -> int:
    pairs = zip(beginnings([one], salt="x"), beginnings([other], salt="x"), strict=False)
    return sum(a == b for a, b in pairs)


def test_a_prompt_that_is_typed_on_keeps_its_beginnings() -> None:
    before = "def mean(xs):\n" * 300

    assert common(before, before + "    return sum(xs) / len(xs)") == len(
        beginnings([before], salt="x")
    )


def test_what_differs_early_has_nothing_in_common() -> None:
    text = "x" * 100_000

    assert common("a" + text, "b" + text) == 0


def test_a_template_s_own_words_count_as_a_beginning() -> None:
    text = ["x" * 5000]

    assert not set(beginnings(text, salt="review")) & set(beginnings(text, salt="tests"))


def test_a_short_prompt_has_none_and_a_long_one_no_more_than_there_are() -> None:
    assert beginnings(["short"], salt="x") == ()
    assert len(beginnings(["x" * 10_000_000], salt="x")) == len(TOKENS)


@given(st.text(min_size=300), st.integers(0, 1_000), st.integers(1, 40))
def test_no_more_is_in_common_than_the_texts_have(text: str, at: int, times: int) -> None:
    one = text * times
    at %= len(one)
    other = one[:at] + ("b" if one[at] == "a" else "a") + one[at + 1 :]
    alike_bytes = len(one[:at].encode("utf-8", "replace"))

    shared = common(one, other)

    assert shared == 0 or TOKENS[shared - 1] <= alike_bytes / 3.3
