"""What no worker of its pool can hold never enters the queue; what fits always does."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import JsonValue
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from services.ingress.context import Vocabularies
from services.ingress.settings import Knobs
from shared.domain.errors import SettingsError
from shared.messages.catalogue import TaskSubmitted
from tests.stories.front_door import HELLO, House

COMPLETIONS = "/v1/completions"


@contextlib.asynccontextmanager
async def a_house(knobs: Knobs | None = None) -> AsyncIterator[House]:
    """Its pool `short` holds a hundred tokens; the usual one does not tell."""
    async with House.open(knobs=knobs) as house:
        await house.report("short", context_tokens=100)
        yield house


def to_short(prompt: str, **more: JsonValue) -> dict[str, JsonValue]:
    return {**HELLO, "model": "short", "prompt": prompt, **more}


def a_tokenizer(tmp_path: Path) -> dict[str, Path]:
    """One whose tokens are words, and whose file says to cut after ten of them."""
    tokenizer = Tokenizer(WordLevel({"word": 0, "?": 1}, unk_token="?"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.enable_truncation(max_length=10)
    file = tmp_path / "tokenizer.json"
    tokenizer.save(str(file))
    return {"short": file}


async def test_what_is_too_long_by_any_tokenizer_is_refused_with_both_lengths() -> None:
    async with a_house() as house:
        refused = await house.client.post(COMPLETIONS, to_short("x" * 30_000))

        assert refused.status == 400
        assert refused.error()["code"] == "context_length_exceeded"
        assert refused.error()["param"] == "prompt"
        message = str(refused.error()["message"])
        assert "30000 characters, at least 118 tokens" in message
        assert "context 100" in message
        assert house.told(TaskSubmitted) == []


async def test_what_may_fit_by_some_tokenizer_is_let_in() -> None:
    async with a_house() as house:
        # As many runs of 128 blanks as there is room for: one token each to several models.
        house.client.start("POST", COMPLETIONS, to_short(" " * 128 * 100))

        assert (await house.task()).model == "short"


async def test_a_short_context_binds_its_own_pool_only() -> None:
    async with a_house() as house:
        house.client.start("POST", COMPLETIONS, {**HELLO, "prompt": "x" * 30_000})

        assert (await house.task()).model == "cato-demo"


@pytest.mark.parametrize("ids", [list(range(101)), [list(range(101))]])
async def test_token_ids_are_counted_as_they_are(ids: list[JsonValue]) -> None:
    async with a_house() as house:
        refused = await house.client.post(COMPLETIONS, {**to_short(""), "prompt": ids})

        assert "the prompt has 101 tokens" in str(refused.error()["message"])


async def test_a_prompt_that_is_to_be_cut_is_not_too_long() -> None:
    async with a_house() as house:
        body = to_short("x" * 30_000, truncate_prompt_tokens=50)
        house.client.start("POST", COMPLETIONS, body)

        assert (await house.task()).body.extra == {"truncate_prompt_tokens": 50}


async def test_with_the_model_s_tokenizer_every_token_counts(tmp_path: Path) -> None:
    knobs = Knobs(vocabularies=Vocabularies.load(a_tokenizer(tmp_path)))
    async with a_house(knobs) as house:
        refused = await house.client.post(COMPLETIONS, to_short("word " * 101))
        house.client.start("POST", COMPLETIONS, to_short("word " * 100))

        assert "the prompt has 101 tokens" in str(refused.error()["message"])
        assert (await house.task()).body.prompt == "word " * 100


async def test_all_turns_of_a_chat_count(tmp_path: Path) -> None:
    knobs = Knobs(vocabularies=Vocabularies.load(a_tokenizer(tmp_path)))
    async with a_house(knobs) as house:
        turn = {"role": "user", "content": "word " * 60}
        refused = await house.client.post(
            "/v1/chat/completions", {"model": "short", "messages": [turn, turn], "max_tokens": 8}
        )

        assert refused.error()["param"] == "messages"
        assert "the prompt has 120 tokens" in str(refused.error()["message"])


@pytest.mark.parametrize("content", [None, "no JSON"])
def test_a_tokenizer_that_cannot_be_read_is_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "tokenizer.json"
    if content is not None:
        file.write_text(content)

    with pytest.raises(SettingsError, match=f"CATO_TOKENIZERS: {file}, of large"):
        Vocabularies.load({"large": file})
