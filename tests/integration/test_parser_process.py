"""A parser in a process of its own says yes or no in time, whatever a model wrote."""

import asyncio

import pytest

from shared.adapters.parser_process import ParserProcess


@pytest.mark.parametrize(
    ("language", "answer", "is_well_formed"),
    [
        ("python", "```python\ndef f(x):\n    return x\n```", True),
        ("python", "def f(x) return x", False),
        ("python", "(" * 200_000, False),
        ("python", "\ud800", False),
        ("c#", "```csharp\nint F(int x) => x;\n```", True),
        ("c#", "int F(int x) => ;", False),
    ],
)
async def test_the_process_says_what_the_parser_says(
    language: str, answer: str, is_well_formed: bool
) -> None:
    assert await ParserProcess().parses(language, answer) is is_well_formed


async def test_code_that_is_slow_to_parse_does_not_parse_and_holds_up_nobody() -> None:
    parsing = ParserProcess()

    slow = asyncio.create_task(parsing.parses("java", "%w(" * 20_000))

    assert await parsing.parses("toml", "a = 1")
    assert not slow.done()
    assert not await slow
