"""Who asks how likely the tokens were is told in the API's own shapes; nobody else hears of it."""

import json

import pytest
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from shared.domain.outcome import FinishReason
from shared.messages.catalogue import TaskSubmitted
from shared.messages.logprobs import Likelihood, TokenLogprob
from tests.stories.front_door import CHAT, HELLO, House
from tests.stories.http_clients import Exchange

COMPLETIONS, CHATS = "/v1/completions", "/v1/chat/completions"
RETURN = TokenLogprob(
    token="return",
    logprob=-0.25,
    top=(Likelihood(token="return", logprob=-0.25), Likelihood(token="yield", logprob=-2.0)),
)
SPACE = TokenLogprob(
    token=" é",
    logprob=-3.0,
    top=(Likelihood(token=" 1", logprob=-0.5), Likelihood(token=" 2", logprob=-1.0)),
)


async def answered(house: House, task: TaskSubmitted) -> None:
    await house.say(task, "return", logprobs=[RETURN])
    await house.say(task, " é", at=1, logprobs=[SPACE])
    await house.say(task, "", at=2, finish=FinishReason.STOP)


def chunks_of(asking: Exchange) -> list[str]:
    return [event for event in asking.events() if event != "[DONE]"]


async def test_a_completion_tells_each_token_with_its_place_and_the_likeliest_there() -> None:
    async with House.open() as house:
        asking = house.client.start("POST", COMPLETIONS, {**HELLO, "logprobs": 2})
        task = await house.task()
        await answered(house, task)
        (choice,) = Completion.model_validate((await asking.done()).json()).choices

        assert task.body.logprobs == 2
        assert choice.logprobs is not None
        assert choice.logprobs.tokens == ["return", " é"]
        assert choice.logprobs.token_logprobs == [-0.25, -3.0]
        assert choice.logprobs.text_offset == [0, 6]
        # The token that was written is always among them.
        assert choice.logprobs.top_logprobs == [
            {"return": -0.25, "yield": -2.0},
            {" 1": -0.5, " 2": -1.0, " é": -3.0},
        ]


async def test_a_streamed_completion_tells_the_same_part_by_part() -> None:
    async with House.open() as house:
        asking = house.client.start("POST", COMPLETIONS, {**HELLO, "logprobs": 0, "stream": True})
        await answered(house, await house.task())
        await asking.done()
        told = [json.loads(chunk)["choices"][0]["logprobs"] for chunk in chunks_of(asking)]

        assert [each and each["tokens"] for each in told] == [["return"], [" é"], None]
        assert [each and each["text_offset"] for each in told] == [[0], [6], None]


async def test_a_chat_tells_each_token_with_its_bytes_and_the_likeliest_in_its_place() -> None:
    async with House.open() as house:
        asking = house.client.start("POST", CHATS, {**CHAT, "logprobs": True, "top_logprobs": 2})
        task = await house.task()
        await answered(house, task)
        (choice,) = ChatCompletion.model_validate((await asking.done()).json()).choices

        assert task.body.logprobs == 2
        assert choice.logprobs is not None
        assert choice.logprobs.content is not None
        assert [each.token for each in choice.logprobs.content] == ["return", " é"]
        assert [each.logprob for each in choice.logprobs.content] == [-0.25, -3.0]
        assert choice.logprobs.content[1].bytes == [32, 0xC3, 0xA9]
        assert [top.token for top in choice.logprobs.content[1].top_logprobs] == [" 1", " 2"]


async def test_a_streamed_chat_tells_the_same_part_by_part() -> None:
    async with House.open() as house:
        asking = house.client.start("POST", CHATS, {**CHAT, "logprobs": True, "stream": True})
        await answered(house, await house.task())
        await asking.done()
        chunks = [ChatCompletionChunk.model_validate_json(chunk) for chunk in chunks_of(asking)]

        told = [chunk.choices[0].logprobs for chunk in chunks]
        assert [each and [at.token for at in each.content or ()] for each in told] == [
            None,
            ["return"],
            [" é"],
            None,
        ]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (COMPLETIONS, HELLO),
        (COMPLETIONS, {**HELLO, "logprobs": None}),
        (CHATS, CHAT),
        (CHATS, {**CHAT, "logprobs": False, "top_logprobs": 0}),
    ],
)
async def test_who_does_not_ask_is_told_nothing(path: str, body: dict[str, object]) -> None:
    async with House.open() as house:
        asking = house.client.start("POST", path, body)
        task = await house.task()
        await answered(house, task)

        assert task.body.logprobs is None
        assert b'"logprobs": null' in (await asking.done()).raw


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (CHATS, {**CHAT, "top_logprobs": 2}, "top_logprobs"),
        (CHATS, {**CHAT, "logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        (CHATS, {**CHAT, "logprobs": 1}, "logprobs"),
        (COMPLETIONS, {**HELLO, "top_logprobs": 2}, "top_logprobs"),
        ("/v1/tasks", {"code": "x = 1", "logprobs": 1}, "logprobs"),
    ],
)
async def test_what_a_route_does_not_tell_is_refused_by_name(
    path: str, body: dict[str, object], param: str
) -> None:
    async with House.open() as house:
        refused = await house.client.post(path, body)

        assert refused.status == 400
        assert refused.error()["param"] == param
