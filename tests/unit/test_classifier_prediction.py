"""A prediction begins with the catalogue and ends with what was seen."""

import random

import pytest

from services.classifier.prediction import Costs, size_bytes
from shared.messages.body import Body, ChatMessage
from shared.scheduling.lengths import Lengths
from shared.tasks import TASKS


def a_prompt(text: str, *, max_tokens: int = 100_000) -> Body:
    return Body(route="completions", prompt=text, max_tokens=max_tokens)


@pytest.mark.parametrize("kind", TASKS)
def test_before_anything_was_learned_the_catalogue_is_believed(kind: str) -> None:
    predicted = Costs().predict(kind, a_prompt("x" * 300))

    prior = TASKS[kind].prior
    assert predicted.output_tokens_p50 == pytest.approx(prior.output_tokens_p50, rel=0.1, abs=1)
    assert predicted.output_tokens_p90 == pytest.approx(prior.output_tokens_p90, rel=0.1, abs=1)


@pytest.mark.parametrize(("median", "sigma"), [(6, 0.3), (14, 0.8), (700, 0.6), (3000, 0.2)])
def test_quantiles_converge_to_those_of_the_answers(median: int, sigma: float) -> None:
    lengths = Lengths(p50=120, p90=228)
    rng = random.Random(7)
    answers = [max(1, round(median * 2.718281828 ** rng.gauss(0, sigma))) for _ in range(3000)]

    for answer in answers:
        lengths.learn(answer)

    seen = sorted(answers)
    assert lengths.quantile(0.5) == pytest.approx(seen[1500], rel=0.15, abs=1)
    assert lengths.quantile(0.9) == pytest.approx(seen[2700], rel=0.2, abs=1)


def test_new_habits_replace_old_ones() -> None:
    lengths = Lengths(p50=14, p90=39)
    for _ in range(100_000):
        lengths.learn(10)

    for _ in range(2_000):
        lengths.learn(200)

    assert lengths.quantile(0.5) == pytest.approx(200, rel=0.1)


def test_answers_to_long_prompts_teach_nothing_about_answers_to_short_ones() -> None:
    costs = Costs()
    before = costs.predict("summarization", a_prompt("x"))

    for _ in range(500):
        costs.learn_output("summarization", prompt_tokens=8_000, output_tokens=900)

    assert costs.predict("summarization", a_prompt("x")) == before
    after = costs.predict("summarization", a_prompt("x" * 30_000))
    assert after.output_tokens_p50 == pytest.approx(900, rel=0.1)


def test_no_answer_is_expected_to_be_longer_than_the_client_allows() -> None:
    predicted = Costs().predict("translation", a_prompt("x", max_tokens=5))

    assert (predicted.output_tokens_p50, predicted.output_tokens_p90) == (5, 5)


def test_the_size_of_a_token_is_learned() -> None:
    costs = Costs()
    body = a_prompt("x" * 4_000)

    for _ in range(2_000):
        costs.learn_prompt("completion", prompt_bytes=4_000, prompt_tokens=2_000)

    assert costs.predict("completion", body).prompt_tokens == pytest.approx(2_000, rel=0.02)


def test_text_outside_ascii_is_counted_in_bytes() -> None:
    short, long = a_prompt("函数" * 10), a_prompt("函数" * 100_000 + "x")

    assert size_bytes(short) == 60
    assert size_bytes(long) == pytest.approx(600_000, rel=0.01)
    assert size_bytes(a_prompt("\ud800" * 9)) > 0


def test_all_turns_and_both_sides_of_the_cursor_count() -> None:
    turns = (ChatMessage(role="system", content="abc"), ChatMessage(role="user", content="defg"))

    assert size_bytes(Body(route="chat", messages=turns, max_tokens=1)) == 7
    assert size_bytes(Body(route="completions", prompt="ab", suffix="cde", max_tokens=1)) == 5


def test_an_engine_that_counts_nothing_does_not_spoil_the_size_of_a_token() -> None:
    costs = Costs()
    before = costs.predict("chat", a_prompt("x" * 4_000))

    costs.learn_prompt("chat", prompt_bytes=4_000, prompt_tokens=0)
    costs.learn_output("chat", prompt_tokens=0, output_tokens=0)

    assert costs.predict("chat", a_prompt("x" * 4_000)) == before
