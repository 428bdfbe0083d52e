"""Where the marks of a request do not tell what it is, its words do."""

import pytest

from services.classifier.classifiers.prose import read_request
from services.classifier.classifiers.words import Words
from shared.messages.body import Body, ChatMessage

CODE = "def area(r):\n    return 3.14 * r * r\n"


def a_chat(*turns: tuple[str, str], max_tokens: int = 512) -> Body:
    messages = tuple(ChatMessage(role=role, content=content) for role, content in turns)
    return Body(route="chat", messages=messages, max_tokens=max_tokens)


def kind_of(body: Body) -> str:
    return Words().classify(body, None).kind


def test_a_suffix_means_an_editor_waits() -> None:
    body = Body(route="completions", prompt="explain(", suffix=")", max_tokens=4000)

    assert kind_of(body) == "completion"


def test_markers_that_an_editor_rendered_mean_completion() -> None:
    prompt = "<|fim_prefix|># review this\n<|fim_suffix|>x<|fim_middle|>"

    assert kind_of(Body(route="completions", prompt=prompt, max_tokens=4000)) == "completion"


def test_an_editor_that_completes_through_chat_is_recognised() -> None:
    body = a_chat(("system", "Fill the hole at <cursor>."), ("user", CODE))

    assert kind_of(body) == "completion"


@pytest.mark.parametrize("name", ["You are the whole team", "You are Cursor, an AI editor"])
def test_an_assistant_whose_name_resembles_a_mark_chats_on(name: str) -> None:
    body = a_chat(("system", name), ("user", "hello"))

    assert kind_of(body) == "chat"


def test_the_wish_may_stand_after_long_code() -> None:
    body = a_chat(("user", CODE * 2000 + "\nsummarize this in one sentence"))

    assert kind_of(body) == "summarization"


def test_the_wish_may_stand_before_long_code() -> None:
    body = a_chat(("user", "write unit tests for this:\n" + CODE * 2000))

    assert kind_of(body) == "tests"


def test_words_inside_code_are_not_a_wish() -> None:
    code = "```python\n# translate, review and explain\ntranslate(review)\n```"

    assert read_request(a_chat(("user", f"fix it\n{code}"))).wish == "fix it"


def test_swapped_letters_do_not_hide_a_wish() -> None:
    assert kind_of(a_chat(("user", f"explian this\n\n{CODE}"))) == "explanation"


def test_the_last_question_decides_and_not_the_first() -> None:
    body = a_chat(("user", f"translate to Go\n{CODE}"), ("assistant", "…"), ("user", "thanks!"))

    assert kind_of(body) == "chat"


def test_a_program_says_its_wish_once_as_the_system() -> None:
    body = a_chat(("system", "Translate the code you are given to Rust."), ("user", CODE))

    assert kind_of(body) == "translation"


def test_an_assistant_that_lists_what_it_can_do_wishes_nothing() -> None:
    body = a_chat(("system", "You explain, test, review and translate code."), ("user", CODE))

    assert kind_of(body) == "chat"


def test_a_target_language_means_translation() -> None:
    body = Body(route="tasks", code=CODE, target_language="go", max_tokens=512)

    assert kind_of(body) == "translation"


def test_a_question_rendered_for_a_completion_endpoint_is_not_code() -> None:
    body = Body(route="completions", prompt="[INST] explain this [/INST]", max_tokens=64)

    assert kind_of(body) == "explanation"


def test_one_sign_of_bulk_work_does_not_cost_a_person_the_promise() -> None:
    person = a_chat(("user", "write a script that prints the size for every file"))
    machine = a_chat(("user", f"For each of the 900 functions below write one line.\n\n{CODE}"))

    assert kind_of(person) == "generation"
    assert kind_of(machine) == "batch"


def test_a_verdict_is_surer_with_more_evidence() -> None:
    clear = Words().classify(a_chat(("user", f"write a docstring\n\n{CODE}")), None)
    vague = Words().classify(a_chat(("user", f"hm\n\n{CODE}")), None)

    assert clear.confidence > 0.5 > vague.confidence
