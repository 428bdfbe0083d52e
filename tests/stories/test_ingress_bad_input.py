"""Whatever a client sends, it hears which field was wrong and what would have worked."""

import pytest

from services.ingress.settings import Knobs
from shared.messages.catalogue import TaskSubmitted
from tests.stories.front_door import HELLO, House

COMPLETIONS = "/v1/completions"

MALFORMED = {
    "not json": (b"{", None),
    "not an object": (b"[]", None),
    "empty": (b"", None),
    "lone surrogate": (b'{"prompt": "\\ud800"}', "prompt"),
    "deep surrogate": (b'{"prompt": "x", "tools": [{"a": "\\udc00"}]}', "tools.0.a"),
    "not utf-8": (b'{"prompt": "\xff"}', None),
    "deep": (b'{"prompt": "x", "tools":' + b"[" * 5000 + b"]" * 5000 + b"}", None),
    "nan": (b'{"prompt": "x", "tools": NaN}', None),
    "infinite": (b'{"prompt": "x", "tools": [1e999]}', "tools"),
    "text for a number": (b'{"prompt": "x", "max_tokens": "8"}', "max_tokens"),
    "true for a number": (b'{"prompt": "x", "max_tokens": true}', "max_tokens"),
    "negative": (b'{"prompt": "x", "max_tokens": -1}', "max_tokens"),
    "absurd": (b'{"prompt": "x", "max_tokens": 5000000}', "max_tokens"),
    "hot": (b'{"prompt": "x", "temperature": 3}', "temperature"),
    "huge seed": (b'{"prompt": "x", "seed": 99999999999999999999}', "seed"),
    "number for a text": (b'{"prompt": 5}', "prompt"),
    "two prompts": (b'{"prompt": ["a", "b"]}', "prompt"),
    "no prompt": (b"{}", "prompt"),
    "empty prompt": (b'{"prompt": ""}', "prompt"),
    "too many stops": (b'{"prompt": "x", "stop": [' + b'"a",' * 16 + b'"a"]}', "stop"),
    "empty stop": (b'{"prompt": "x", "stop": ""}', "stop"),
    "stream as text": (b'{"prompt": "x", "stream": "yes"}', "stream"),
    "several answers": (b'{"prompt": "x", "n": 2}', "n"),
    "echo": (b'{"prompt": "x", "echo": true}', "echo"),
    "logit bias": (b'{"prompt": "x", "logit_bias": {"5": 1}}', "logit_bias"),
    "more alternatives than are told": (b'{"prompt": "x", "logprobs": 6}', "logprobs"),
    "log-probabilities as in a chat": (b'{"prompt": "x", "logprobs": true}', "logprobs"),
    "unknown field": (b'{"prompt": "x", "max_tokenz": 5}', "max_tokenz"),
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_request_is_refused_by_the_name_of_the_field(name: str) -> None:
    raw, param = MALFORMED[name]
    async with House.open() as house:
        refused = await house.client.post(COMPLETIONS, raw)

        assert refused.status == 400
        error = refused.error()
        assert set(error) == {"message", "type", "param", "code"}
        assert error["param"] == param
        assert error["message"]
        assert "x-request-id" in refused.headers
        assert house.told(TaskSubmitted) == []


async def test_values_that_ask_for_nothing_are_no_offence() -> None:
    async with House.open() as house:
        neutral = {"n": 1, "best_of": 1, "echo": False, "logit_bias": None, "logprobs": None}
        asking = house.client.start("POST", COMPLETIONS, {**HELLO, **neutral, "user": "me"})

        await house.answer(await house.task(), "x")

        assert (await asking.done()).status == 200


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-slo-ttft-ms", "-5"),
        ("x-slo-ttft-ms", "soon"),
        ("x-slo-e2e-ms", "nan"),
        ("x-llm-d-slo-tpot-ms", "1e300"),
        ("x-cato-task", "poetry"),
        ("content-encoding", "gzip"),
    ],
)
async def test_a_malformed_header_is_refused_by_its_name(header: str, value: str) -> None:
    async with House.open() as house:
        refused = await house.client.post(COMPLETIONS, HELLO, **{header: value})

        assert refused.status == 400
        assert refused.error()["param"] == header


async def test_an_unknown_model_is_refused_with_those_that_are_known() -> None:
    async with House.open() as house:
        refused = await house.client.post(COMPLETIONS, {**HELLO, "model": "gpt-9"})

        assert refused.status == 404
        assert "cato-demo" in str(refused.error()["message"])


@pytest.mark.parametrize("announced", [{"content-length": "5000"}, {}])
async def test_a_body_that_is_too_large_is_refused(announced: dict[str, str]) -> None:
    async with House.open(knobs=Knobs(max_body_bytes=1000)) as house:
        parts = [b"x" * 500] * 10

        refused = await house.client.send("POST", COMPLETIONS, parts, announced).done()

        assert refused.status == 413
        assert refused.error()["code"] == "request_too_large"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", COMPLETIONS, 405),
        ("POST", "/v1/models", 405),
        ("PUT", "/v1/tasks/1", 405),
        ("GET", "/v1/tasks/unknown", 404),
        ("GET", "/v1/tasks/unknown/events", 404),
        ("DELETE", "/v1/tasks/unknown", 404),
    ],
)
async def test_a_wrong_turn_is_an_error_in_the_shape_of_the_api(
    method: str, path: str, status: int
) -> None:
    async with House.open() as house:
        refused = await house.client.start(method, path).done()

        assert refused.status == status
        assert set(refused.error()) == {"message", "type", "param", "code"}
        assert "x-request-id" in refused.headers


@pytest.mark.parametrize("part", [1, "x", {}, {"type": "text"}, {"type": "text", "text": 5}])
async def test_a_malformed_part_of_a_message_is_refused_by_its_place(part: object) -> None:
    async with House.open() as house:
        turn = {"role": "user", "content": [{"type": "text", "text": "x"}, part]}
        refused = await house.client.post("/v1/chat/completions", {"messages": [turn]})

        assert refused.status == 400
        assert refused.error()["param"] == "messages.0.content.1"


async def test_a_limit_beyond_the_context_is_refused_with_the_one_that_holds() -> None:
    async with House.open(knobs=Knobs(context_tokens=100)) as house:
        refused = await house.client.post(COMPLETIONS, {**HELLO, "max_tokens": 10**9})

        assert refused.error()["param"] == "max_tokens"
        assert "context of 100" in str(refused.error()["message"])


async def test_a_message_names_the_field_that_is_wrong_since_clients_show_nothing_else() -> None:
    async with House.open() as house:
        refused = await house.client.post(COMPLETIONS, {**HELLO, "max_tokens": 0})

        assert str(refused.error()["message"]).startswith("max_tokens: ")


async def test_what_a_list_may_hold_is_told_of_the_list() -> None:
    async with House.open() as house:
        refused = await house.client.post(COMPLETIONS, {**HELLO, "stop": ["a"] * 17})

        assert "at most 16 items" in str(refused.error()["message"])


async def test_the_value_that_would_have_worked_is_told_as_json() -> None:
    async with House.open() as house:
        refused = await house.client.post(COMPLETIONS, {**HELLO, "echo": True})

        assert str(refused.error()["message"]).endswith("send false")


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/metrics", "/v1/models"])
async def test_whoever_may_read_may_ask_for_the_head_alone(path: str) -> None:
    async with House.open() as house:
        assert (await house.client.start("HEAD", path).done()).status == 200


async def test_a_body_that_never_ends_is_given_up() -> None:
    async with House.open() as house:
        asking = house.client.dawdle("POST", COMPLETIONS, b'{"prompt": ')

        assert (await asking.done()).status == 408
        assert asking.error()["code"] == "request_timeout"


async def test_a_client_that_announces_too_much_and_sends_little_is_answered() -> None:
    async with House.open(knobs=Knobs(max_body_bytes=1000)) as house:
        asking = house.client.dawdle("POST", COMPLETIONS, b"x", {"content-length": "5000"})

        assert (await asking.done()).status == 413
