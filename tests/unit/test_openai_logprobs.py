"""Servers tell log-probabilities in two shapes; one of them also where the other was asked for."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from services.worker.engine import EngineUnavailable, Piece
from services.worker.engines.openai_logprobs import asked_for, told_by
from services.worker.engines.openai_wire import Answer
from shared.messages.logprobs import Likelihood, TokenLogprob
from tests.contract.engine_promises import a_job
from tests.contract.logprob_promises import weighed

# As vLLM and SGLang answer the completions route, and everybody the chat route; llama.cpp both.
COMPLETION: dict[str, JsonValue] = {
    "text_offset": [0, 7],
    "tokens": [" return", " a"],
    "token_logprobs": [-0.5, -1.0],
    "top_logprobs": [{" return": -0.5, " yield": -2.0}, {" b": -0.75, " a": -1.0}],
}
CHAT: dict[str, JsonValue] = {
    "content": [
        {
            "token": " return",
            "logprob": -0.5,
            "bytes": [32],
            "top_logprobs": [
                {"token": " return", "logprob": -0.5, "bytes": None},
                {"token": " yield", "logprob": -2.0},
            ],
        },
        {
            "token": " a",
            "logprob": -1,
            "top_logprobs": [
                {"token": " b", "logprob": -0.75},
                {"token": " a", "logprob": -1},
            ],
        },
    ]
}
RETURN = TokenLogprob(
    token=" return",
    logprob=-0.5,
    top=(
        Likelihood(token=" return", logprob=-0.5),
        Likelihood(token=" yield", logprob=-2.0),
    ),
)
A = TokenLogprob(
    token=" a",
    logprob=-1.0,
    top=(Likelihood(token=" b", logprob=-0.75), Likelihood(token=" a", logprob=-1.0)),
)


def read(answer: Answer, choice: dict[str, JsonValue]) -> Piece | None:
    return answer.read(json.dumps({"choices": [{"index": 0, **choice}]}).encode())


@pytest.mark.parametrize("shape", [COMPLETION, CHAT])
def test_both_shapes_tell_the_same_and_no_more_than_was_asked(shape: dict[str, JsonValue]) -> None:
    assert told_by(shape, 2) == (RETURN, A)
    assert [[other.token for other in each.top] for each in told_by(shape, 1)] == [
        [" return"],
        [" b"],
    ]
    assert [each.top for each in told_by(shape, 0)] == [(), ()]


@pytest.mark.parametrize("told", [None, {}, {"content": None}, {"content": []}, {"tokens": []}])
def test_a_server_that_tells_nothing_tells_nothing(told: JsonValue) -> None:
    assert told_by(told, 1) == ()


@pytest.mark.parametrize("told", ["none", [], {"content": [{"token": 5}]}, {"tokens": "abc"}])
def test_garbage_is_the_servers_fault(told: JsonValue) -> None:
    with pytest.raises(EngineUnavailable, match="malformed log-probabilities"):
        told_by(told, 1)


@given(st.floats())
def test_no_number_of_a_server_makes_a_token_more_than_certain_or_infinitely_wrong(
    said: float,
) -> None:
    (told,) = told_by({"tokens": ["a"], "token_logprobs": [said]}, 0)

    assert -9999 <= told.logprob <= 0


def test_each_route_is_asked_in_its_own_words() -> None:
    assert asked_for(weighed(a_job(), 3).body) == {"logprobs": 3}
    assert asked_for(weighed(a_job(), 0).body) == {"logprobs": 1}
    assert asked_for(weighed(a_job(is_chat=True), 3).body) == {"logprobs": True, "top_logprobs": 3}
    assert asked_for(a_job().body) == {}


def test_what_came_with_a_text_that_was_held_back_comes_with_the_next_piece() -> None:
    answer = Answer(likeliest=2)

    mute = read(answer, {"text": "", "logprobs": COMPLETION})
    piece = read(answer, {"text": " return a"})
    read(answer, {"text": "", "logprobs": CHAT, "finish_reason": "stop"})

    assert mute is None
    assert piece is not None
    assert piece.logprobs == answer.last(1).logprobs == (RETURN, A)


def test_what_nobody_asked_for_is_not_read() -> None:
    piece = read(Answer(), {"text": "a", "logprobs": "nonsense"})

    assert piece is not None
    assert piece.logprobs == ()
