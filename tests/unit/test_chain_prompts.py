"""A step's prompt is its template, filled with what was given and what was answered before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.chain import Stage
from shared.domain.task import Prediction
from shared.tasks import TASKS
from shared.tasks.chain import GIVEN, ITEM, PREVIOUS, Chain, fill, given_of, likelihood, marks
from shared.tasks.recipes import RECIPES

GIVEN_CODE = given_of(code="x = {y}", instruction="be brief", language="python", target="go")


def a_stage(name: str, prompt: str, *, over: tuple[str, ...] = (), output: int = 100) -> Stage:
    return Stage(
        name=name,
        kind="summarization",
        prompt=prompt,
        max_tokens=500,
        over=over,
        prediction=Prediction(
            prompt_tokens=1, output_tokens_p50=output, output_tokens_p90=2 * output
        ),
    )


def expected(stage: Stage, prompt_tokens: int) -> Prediction:
    assert stage.prediction is not None
    return Prediction(
        prompt_tokens=prompt_tokens,
        output_tokens_p50=stage.prediction.output_tokens_p50,
        output_tokens_p90=stage.prediction.output_tokens_p90,
    )


def test_marks_in_what_is_filled_in_stay_as_they_are() -> None:
    chain = Chain(stages=(a_stage("a", "{input} / {language}"),), given=GIVEN_CODE)

    assert chain.prompts(0, {}) == ("x = {y} / python",)


def test_doubled_braces_are_braces_and_lone_ones_stay() -> None:
    assert fill("{{input}} { x } {} {input}", {"input": "v"}) == "{input} { x } {} v"
    assert list(marks("{{input}} { x } {} {input}")) == ["input"]


@given(text=st.text(), value=st.text())
def test_any_text_can_be_a_template_and_any_text_be_filled_in(text: str, value: str) -> None:
    assert fill("{input}", {"input": value}) == value
    assert isinstance(fill(text, {"input": value}), str)


def test_code_stands_between_fences_that_it_does_not_contain() -> None:
    given = given_of(code="```", instruction=None, language="md", target=None)

    assert given["code"] == "````md\n```\n````"
    assert given["input"] == "```"


def test_an_instruction_alone_is_the_input() -> None:
    given = given_of(code=None, instruction="write it", language=None, target=None)

    assert given["input"] == "write it"


def test_every_item_gets_a_prompt_of_its_own() -> None:
    chain = Chain(stages=(a_stage("a", "sum up {item}", over=("x", "y")),))

    assert chain.prompts(0, {}) == ("sum up x", "sum up y")


def test_earlier_answers_go_by_name_and_the_last_one_that_was_given_is_the_previous() -> None:
    stages = (
        a_stage("one", "{input}", over=("x", "y")),
        a_stage("two", "{one}"),
        a_stage("three", "{one} | {two} | {previous}"),
    )

    assert Chain(stages=stages).prompts(2, {0: ("a", "b")}) == ("a\n\nb | {two} | a\n\nb",)


def test_what_is_asked_later_is_expected_to_hold_what_is_answered_before() -> None:
    stages = (
        a_stage("parts", "{item}", over=("x" * 330, "y" * 33), output=100),
        a_stage("whole", "{parts}", output=50),
    )

    parts, whole = Chain(stages=stages).predictions(expected)

    assert parts.prompt_tokens == pytest.approx(130)
    assert whole.prompt_tokens == pytest.approx(230)


def test_known_answers_take_the_place_of_expected_ones() -> None:
    stages = (a_stage("one", "{input}"), a_stage("two", "{one}"), a_stage("three", "{previous}"))

    two, three = Chain(stages=stages).predictions(expected, {0: ("z" * 3300,)})

    assert two.prompt_tokens == pytest.approx(1030)
    assert three.prompt_tokens == pytest.approx(130)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_uses_only_what_is_known_when_a_step_begins(name: str) -> None:
    recipe, seen = RECIPES[name], {*GIVEN, ITEM}

    for stage in recipe.stages:
        assert set(marks(stage.prompt)) <= seen
        assert stage.kind in TASKS
        seen |= {stage.name, PREVIOUS}
    assert name == recipe.name
    assert TASKS[name].promise.e2e_s is not None


def test_a_step_that_may_be_left_out_costs_less_than_one_that_may_not() -> None:
    summary, _, repair = RECIPES["translation"].stages

    assert likelihood(repair) < likelihood(summary) == 1
