"""The embedded engine's model reads a text the same way however it is cut, and writes all of it."""

import json
from pathlib import Path

import numpy as np
import pytest

from deploy.models.architecture import MARKS, MODEL, Architecture
from services.worker.engines.embedded_choice import Choice
from services.worker.engines.embedded_model import EmbeddedModel
from services.worker.engines.embedded_text import Vocabulary, Writer, prompt_of, stops_of
from shared.messages.body import Body, ChatMessage

CODE = "def mean(xs):\n    total = 0\n    for x in xs:\n        total += x\n    return total\n"
# Of float32 sums in another order.
CLOSE = 1e-3


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.read(MODEL / "tokenizer.json", words=Architecture().vocab_size)


@pytest.fixture(scope="module")
def model() -> EmbeddedModel:
    return EmbeddedModel.load(MODEL, places=3, threads=1)


def test_the_shipped_files_are_small_and_describe_one_llama() -> None:
    config = json.loads((MODEL / "config.json").read_text())

    assert sum(path.stat().st_size for path in MODEL.iterdir()) <= 12_000_000
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["vocab_size"] == Architecture().vocab_size


def test_a_prompt_read_in_chunks_is_read_as_if_at_once(
    model: EmbeddedModel, vocabulary: Vocabulary
) -> None:
    tokens = vocabulary.tokens(CODE)

    at_once = model.prefill(0, tokens, 0)
    for start in range(0, len(tokens), 7):
        in_chunks = model.prefill(1, tokens[start : start + 7], start)

    assert np.abs(at_once - in_chunks).max() < CLOSE


def test_decoding_goes_on_as_if_the_prompt_had_been_longer(
    model: EmbeddedModel, vocabulary: Vocabulary
) -> None:
    tokens = vocabulary.tokens(CODE)
    wanted = model.prefill(0, tokens, 0)

    model.prefill(1, tokens[:-1], 0)
    model.prefill(0, tokens[:5], 0)
    beside = model.decode([tokens[5], tokens[-1]], [5, len(tokens) - 1])[1]
    model.move(1, 0, len(tokens) - 1)
    alone = model.decode([tokens[-1]], [len(tokens) - 1])[0]

    assert np.abs(wanted - beside).max() < CLOSE
    assert np.abs(wanted - alone).max() < CLOSE


@pytest.mark.parametrize(
    "text", [CODE, "naïve = '日本語 🎉'\n", "\t \n\n  x", "\x00\x7f\u2028", "if a :\n\tb\r\n"]
)
def test_tokens_become_the_text_again_one_by_one(vocabulary: Vocabulary, text: str) -> None:
    writer = Writer(vocabulary)

    written = [writer.write(token) for token in vocabulary.tokens(text)]

    assert "".join(written) + writer.rest() == text
    assert "\ufffd" not in "".join(written)


def test_a_character_that_is_never_finished_is_replaced(vocabulary: Vocabulary) -> None:
    writer = Writer(vocabulary)
    first, *_ = vocabulary.tokens("🎉")

    assert writer.write(first) + writer.rest() == "\ufffd"


def test_marks_are_single_tokens_that_write_nothing(vocabulary: Vocabulary) -> None:
    assert {vocabulary.end, *vocabulary.marks} == {
        token for mark in MARKS for token in vocabulary.tokens(mark)
    }
    assert vocabulary.bytes_of(vocabulary.end) == b""


def test_the_suffix_comes_first_and_the_answer_goes_on_in_the_prefix() -> None:
    assert prompt_of(an_infill(suffix="b")) == "<|fim_suffix|>b<|fim_prefix|>a"


def test_an_infill_ends_where_its_line_does_and_where_the_suffix_goes_on_with_it() -> None:
    assert stops_of(an_infill(suffix="\nnext line")) == (";", "\n")
    assert stops_of(an_infill(suffix=") as file:\n")) == (";", "\n", ") as file:")
    assert stops_of(an_infill(suffix="b", ignore_eos=True)) == (";",)
    assert stops_of(an_infill(suffix=None)) == (";",)


def test_a_word_that_the_cursor_may_have_cut_is_chosen_anew(vocabulary: Vocabulary) -> None:
    opening = vocabulary.opening("x = retur")
    (whole,) = vocabulary.tokens(" return")
    (other,) = vocabulary.tokens(" raise")

    allowed = vocabulary.anew(opening.cut)
    writer = Writer(vocabulary, opening.cut)
    whole_writer = Writer(vocabulary, opening.cut)

    assert [*opening.tokens, *opening.cut] == vocabulary.tokens("x = retur")
    assert opening.length() == len(vocabulary.tokens("x = retur"))
    assert [each[0] for each in allowed] == list(opening.cut)
    assert whole in allowed[0]
    assert other not in allowed[0]
    assert [writer.write(token) for token in opening.cut] == [""] * len(opening.cut)
    assert whole_writer.write(whole) == "n"


@pytest.mark.parametrize("text", ["if a:\n", "if a:\n    ", "x", "<|fim_prefix|>"])
def test_a_line_s_end_its_indentation_and_marks_are_never_cut(
    vocabulary: Vocabulary, text: str
) -> None:
    assert vocabulary.opening(text).cut == ()


def test_of_a_word_without_end_only_the_last_tokens_are_chosen_anew(
    vocabulary: Vocabulary,
) -> None:
    opening = vocabulary.opening("x = " + "z" * 4000)

    assert 0 < len(opening.cut) <= 8
    assert [*opening.tokens, *opening.cut] == vocabulary.tokens("x = " + "z" * 4000)


def test_only_the_tokens_of_the_cut_word_are_bound_and_only_while_they_come_again() -> None:
    def chosen(*best: int) -> list[int]:
        choice = Choice(temperature=0.0, top_p=1.0, seed=1, never=[], anew=[[0, 2], [1]])
        return [choice.choose(np.eye(4, dtype=np.float32)[token]) for token in best]

    assert chosen(3, 3, 3) == [0, 1, 3]
    assert chosen(2, 3, 3) == [2, 3, 3]


def test_a_chat_is_written_on_in_its_open_block() -> None:
    asked = ChatMessage(role="user", content="Implement f.\n\n```python\ndef f():\n```")

    assert prompt_of(Body(route="chat", messages=(asked,), max_tokens=1)).endswith("def f():\n")


def an_infill(*, suffix: str | None, ignore_eos: bool = False) -> Body:
    return Body(
        route="completions",
        prompt="a",
        suffix=suffix,
        max_tokens=1,
        stop=(";",),
        extra={"ignore_eos": ignore_eos},
    )


def scores(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_at_temperature_0_the_best_allowed_is_chosen() -> None:
    choice = Choice(temperature=0.0, top_p=1.0, seed=1, never=[2])

    assert choice.choose(scores(1.0, 3.0, 9.0)) == 1


def test_sampling_follows_the_scores_and_the_nucleus_cuts_the_unlikely_off() -> None:
    whole = Choice(temperature=1.0, top_p=1.0, seed=1, never=[])
    nucleus = Choice(temperature=1.0, top_p=0.6, seed=1, never=[])
    # Shares of 2/3, 1/6 and 1/6.
    logs = np.log(np.array([4.0, 1.0, 1.0], np.float32))

    drawn = [whole.choose(logs.copy()) for _ in range(600)]

    assert 350 < drawn.count(0) < 450
    assert drawn.count(1) > 50 < drawn.count(2)
    assert {nucleus.choose(logs.copy()) for _ in range(50)} == {0}


def test_a_token_is_weighed_among_those_that_could_be_chosen_whatever_the_temperature() -> None:
    # Shares of 3/6, 2/6 and 1/6, of scores that no exponential holds.
    logs = np.log(np.array([3.0, 2.0, 1.0, 9.0], np.float32)) + np.float32(1e4)

    for temperature in (0.0, 1.5):
        choice = Choice(temperature=temperature, top_p=1.0, seed=1, never=[3], logprobs=2)
        chosen = choice.chosen(logs.copy())

        assert chosen.logprob == pytest.approx(np.log([3, 2, 1][chosen.token] / 6), abs=1e-2)
        assert [token for token, _ in chosen.top] == [0, 1]
        assert [logprob for _, logprob in chosen.top] == pytest.approx(
            np.log([3 / 6, 2 / 6]), abs=1e-2
        )


def test_what_could_not_be_chosen_is_no_alternative() -> None:
    choice = Choice(temperature=0.0, top_p=1.0, seed=1, never=[0, 2, 3], logprobs=3)

    assert choice.chosen(scores(1.0, 2.0, 3.0, 4.0)) == (1, 0.0, [(1, 0.0)])


def test_the_seed_is_the_clients_or_made_of_what_it_wrote() -> None:
    def drawn(prompt: str, seed: int | None) -> list[int]:
        body = Body(route="completions", prompt=prompt, max_tokens=1, temperature=1.0, seed=seed)
        choice = Choice.of(body, temperature=0.0, top_p=1.0, never=[])
        return [choice.choose(np.zeros(1000, np.float32)) for _ in range(5)]

    assert drawn("a", 7) == drawn("b", 7) != drawn("a", 8)
    assert drawn("a", None) == drawn("a", None) != drawn("b", None)


def test_the_model_folder_is_complete() -> None:
    assert {path.name for path in Path(MODEL).iterdir()} == {
        "config.json",
        "generation_config.json",
        "graph.onnx",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
