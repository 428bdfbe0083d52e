"""What fits where the cursor was is judged from whatever an editor sent of the file."""

import warnings

import pytest

from shared.tasks.gap import Gap

ABOVE = '''"""A module."""

class Stack:
    def __init__(self):
        self.items = []

    def push(self, item):
        """Put it on top,
  wherever that is.
        """
        '''
BELOW = """
        return len(self.items)

    def pop(self):
        return self.items.pop()
"""


def takes(answer: str, *, above: str = ABOVE, below: str = BELOW) -> bool:
    gap = Gap.between(above, below)
    assert gap is not None
    return gap.takes(answer)


@pytest.mark.parametrize(
    "answer",
    ["self.items.append(item)", "if item:\n            self.items.append(\n  item)", "# push it"],
)
def test_what_is_well_formed_in_its_place_fits(answer: str) -> None:
    assert takes(answer)


@pytest.mark.parametrize(
    "answer",
    ["self.items.append(item", "self.items.append(item))", "if item:", "and so on", "'", "", " \n"],
)
def test_what_breaks_the_lines_around_it_or_says_nothing_does_not_fit(answer: str) -> None:
    assert not takes(answer)


@pytest.mark.parametrize("cut", range(len(ABOVE) - 20))
def test_wherever_an_editor_cuts_the_text_above_what_is_wrong_does_not_fit(cut: int) -> None:
    gap = Gap.between(ABOVE[cut:], BELOW)

    assert gap is None or not gap.takes("self.items.append(item))")


@pytest.mark.parametrize("lines", range(8))
def test_however_many_lines_an_editor_sends_what_is_right_fits_or_nothing_is_said(
    lines: int,
) -> None:
    gap = Gap.between("\n".join(ABOVE.split("\n")[lines:]), BELOW)

    assert gap is None or gap.takes("self.items.append(item)")


@pytest.mark.parametrize("cut", range(1, len(BELOW)))
def test_it_does_not_matter_where_an_editor_cuts_the_text_below(cut: int) -> None:
    assert takes("self.items.append(item)", below=BELOW[:cut])
    assert not takes("self.items.append(item))", below=BELOW[:cut])


@pytest.mark.parametrize(
    ("above", "answer", "below"),
    [
        ("x = foo(\n    a,\n    b=[1, ", "2],", "\n)\ny = 1\n"),
        ("for x in ", "range(3):", "\n    print(x)\n"),
        ("try:\n    ", "go()", ""),
        ("    if a:\n        x = 'a", "b'", "\n    return x\n"),
        ("def f(", "a, b", "):\n    return a\n"),
        ("def f():\n", "    return 1", ""),
        ("", "import os", ""),
        ("x = {\n    'a': ", "[", ""),
        ("a = 1\nif a:\n    b = ", "2", "\nelse:\n    b = 3\nthis is broken\n"),
    ],
)
def test_a_place_is_judged_by_as_much_as_there_is_of_it(
    above: str, answer: str, below: str
) -> None:
    assert takes(answer, above=above, below=below)


@pytest.mark.parametrize(
    "above",
    [
        "function f() {\n  return ",
        "Dear all,\n\nhere is ",
        "<|fim_prefix|>x = 1\n<|fim_suffix|>y\n",
    ],
)
def test_nothing_is_said_of_what_is_no_python(above: str) -> None:
    assert Gap.between(above, "") is None


@pytest.mark.parametrize(
    "hostile",
    ["(" * 2000, "-" * 2000 + "1 2", "\0", "\ud800 1", "{a:{" * 500 + " a b", "x\n" * 50_000],
)
def test_what_a_parser_cannot_bear_does_not_fit(hostile: str) -> None:
    assert not takes(hostile, above="x = 1\n", below="\ny = 2\n")
    assert Gap.between(hostile + " ?\n", hostile) is None


def test_nothing_of_the_code_is_told_in_a_warning() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")

        assert takes("secret = '\\d'")

    assert told == []
