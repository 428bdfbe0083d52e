"""What every classifier promises: a verdict on anything, the client first, a bounded cost."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.classifier.classifiers import CLASSIFIERS
from shared.domain.errors import UnknownTaskKind
from shared.messages.body import Body
from shared.tasks import TASKS

# Lone surrogates included: a classifier must not be where they are found.
texts = st.text(st.characters(), max_size=400) | st.sampled_from(
    [
        "",
        "```",
        "<code>",
        "[INST]",
        "\ud800",
        "²³" * 50,
        "\uff19\uff19\uff19 for each of",
        "?" * 1000,
        "a\n" * 500,
    ]
)
bodies = st.builds(
    Body.model_construct,
    route=st.sampled_from(["completions", "chat", "tasks"]),
    prompt=st.none() | texts,
    suffix=st.none() | texts,
    messages=st.just(()),
    code=st.none() | texts,
    language=st.none() | texts,
    target_language=st.none() | texts,
    instruction=st.none() | texts,
    max_tokens=st.integers(1, 100_000),
)
turns = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["system", "user", "assistant", "tool"]),
            "content": st.none()
            | st.text(max_size=80)
            | st.just([{"type": "text", "text": "why?"}, {"type": "image_url"}, 7, None]),
        }
    ),
    max_size=5,
)


@pytest.mark.parametrize("name", CLASSIFIERS)
@given(body=bodies)
def test_every_body_gets_a_known_kind(name: str, body: Body) -> None:
    verdict = CLASSIFIERS[name]().classify(body, None)

    assert verdict.kind in TASKS
    assert 0.0 <= verdict.confidence <= 1.0


@pytest.mark.parametrize("name", CLASSIFIERS)
@given(messages=turns)
def test_every_conversation_gets_a_known_kind(name: str, messages: list[object]) -> None:
    body = Body.model_validate({"route": "chat", "messages": messages, "max_tokens": 10})

    verdict = CLASSIFIERS[name]().classify(body, None)

    assert verdict.kind in TASKS


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("kind", TASKS)
def test_the_word_of_the_client_wins(name: str, kind: str) -> None:
    body = Body(route="completions", prompt="explain this", suffix="", max_tokens=5)

    verdict = CLASSIFIERS[name]().classify(body, kind)

    assert (verdict.kind, verdict.confidence) == (kind, 1.0)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_kind_that_nobody_knows_is_refused_by_name(name: str) -> None:
    body = Body(route="chat", max_tokens=5)

    with pytest.raises(UnknownTaskKind, match="poetry"):
        CLASSIFIERS[name]().classify(body, "poetry")


@pytest.mark.parametrize("name", CLASSIFIERS)
@given(body=bodies)
@settings(max_examples=20)
def test_the_same_request_always_gets_the_same_verdict(name: str, body: Body) -> None:
    first = CLASSIFIERS[name]().classify(body, None)

    assert CLASSIFIERS[name]().classify(body, None) == first


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize(
    "unit", ["explain and translate this ", "x = f(y)\n", "写一个函数", "((((", "\n"]
)
def test_cost_does_not_grow_with_the_prompt(name: str, unit: str) -> None:
    judge = CLASSIFIERS[name]()
    short = Body(route="completions", prompt=(unit * 4096)[:4096], max_tokens=500)
    long = Body(route="completions", prompt=(unit * 2**20)[: 2**20], max_tokens=500)

    def least_s(body: Body) -> float:
        return min(_took_s(lambda: judge.classify(body, None)) for _ in range(30))

    # 256 times the prompt; the least of many is what is left of a busy machine's noise.
    assert least_s(long) < 5 * least_s(short) + 50e-6


def _took_s(act: Callable[[], object]) -> float:
    began = time.thread_time()
    act()
    return time.thread_time() - began
