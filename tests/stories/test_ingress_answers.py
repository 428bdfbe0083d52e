"""What a client reads when everything goes well."""

import json

from services.ingress.settings import Knobs
from shared.domain.fence import Fence
from shared.domain.outcome import FinishReason, Outcome
from shared.messages.catalogue import TaskCancelled, TaskSubmitted
from tests.stories.front_door import CHAT, HELLO, House


async def test_a_completion_is_answered_in_one_piece() -> None:
    async with House.open() as house:
        asking = house.client.start("POST", "/v1/completions", HELLO)

        await house.answer(await house.task(), "return", " 1")
        answer = await asking.done()

        assert answer.status == 200
        told = answer.json()
        assert told["object"] == "text_completion"
        assert told["choices"] == [
            {"index": 0, "logprobs": None, "text": "return 1", "finish_reason": "stop"}
        ]
        assert told["usage"]["total_tokens"] == 5  # type: ignore[index,call-overload]


async def test_a_chat_is_answered_in_one_piece() -> None:
    async with House.open() as house:
        asking = house.client.start("POST", "/v1/chat/completions", CHAT)

        await house.answer(await house.task(), "hel", "lo")
        choice = (await asking.done()).json()["choices"][0]  # type: ignore[index]

        assert choice["message"]["content"] == "hello"  # type: ignore[index,call-overload]


async def test_pieces_are_streamed_as_they_come() -> None:
    async with House.open() as house:
        asking = house.client.start("POST", "/v1/completions", {**HELLO, "stream": True})
        task = await house.task()

        await house.say(task, "ret", at=0)
        assert asking.text() == "ret"
        await house.say(task, "urn", at=1, finish=FinishReason.LENGTH)
        await asking.done()

        assert asking.text() == "return"
        assert asking.events()[-1] == "[DONE]"
        assert json.loads(asking.events()[-2])["choices"][0]["finish_reason"] == "length"


async def test_a_streamed_chat_begins_with_whose_turn_it_is() -> None:
    async with House.open() as house:
        asking = house.client.start("POST", "/v1/chat/completions", {**CHAT, "stream": True})

        await house.answer(await house.task(), "hi")
        await asking.done()

        deltas = [json.loads(event)["choices"][0]["delta"] for event in asking.events()[:-1]]
        assert deltas == [{"role": "assistant", "content": ""}, {"content": "hi"}]


async def test_usage_comes_as_an_event_of_its_own_when_it_was_asked_for() -> None:
    async with House.open() as house:
        body = {**HELLO, "stream": True, "stream_options": {"include_usage": True}}
        asking = house.client.start("POST", "/v1/completions", body)

        await house.answer(await house.task(), "a", "b")
        await asking.done()

        last = json.loads(asking.events()[-2])
        assert last["choices"] == []
        assert last["usage"]["completion_tokens"] == 2
        assert json.loads(asking.events()[0])["usage"] is None


async def test_the_head_of_a_stream_waits_for_the_first_content() -> None:
    async with House.open() as house:
        asking = house.client.start("POST", "/v1/completions", {**HELLO, "stream": True})
        task = await house.task()

        await house.say(task, "")
        held = asking.raw, asking.headers
        await house.say(task, "x", at=1)

        assert held == (b"", {})
        assert asking.status == 200
        assert asking.headers["content-type"].startswith("text/event-stream")
        assert asking.headers["cache-control"] == "no-cache"
        assert asking.headers["x-accel-buffering"] == "no"


async def test_after_ten_silent_seconds_a_stream_begins_with_a_comment() -> None:
    async with House.open() as house:
        asking = house.client.start("POST", "/v1/completions", {**HELLO, "stream": True})
        task = await house.task()
        began_at = house.clock.now()

        await house.until(lambda: asking.status == 200, saying="head", within_s=11)
        assert house.clock.now() - began_at >= 9.9
        assert asking.raw == b": keep-alive\n\n"
        await house.answer(task, "late")
        await asking.done()

        assert asking.text() == "late"


async def test_headers_tell_what_became_of_the_task() -> None:
    async with House.open() as house:
        asking = house.client.start("POST", "/v1/completions", HELLO, x_request_id="my id!<1>")

        await house.answer(await house.task(), "x")
        headers = (await asking.done()).headers

        assert headers["x-request-id"] == "myid1"
        assert headers["x-cato-task"] == "completion"
        assert headers["x-cato-class"] == "ttft"
        assert headers["x-cato-queue-ms"] == "5.0"
        assert headers["x-cato-worker"] == "worker-1/1"


async def test_what_the_client_asked_for_travels_with_its_task() -> None:
    async with House.open() as house:
        body = {**HELLO, "suffix": "end", "stop": "\n", "seed": 7, "temperature": 0.5, "top_p": 0.9}
        house.client.start(
            "POST",
            "/v1/completions",
            {**body, "service_tier": "flex", "tools": [{"type": "function"}], "user": "me"},
            x_cato_task="completion",
            x_slo_ttft_ms="250",
            session_id="editor",
            traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
        )

        task = await house.task()

        assert task.kind == "completion"
        assert task.promise is not None
        assert task.promise.ttft_s == 0.25
        assert task.session == "local/editor"
        assert task.priority > 0
        assert task.traceparent is not None
        assert "a" * 32 in task.traceparent
        assert task.body.suffix == "end"
        assert task.body.stop == ("\n",)
        assert task.body.extra == {"tools": [{"type": "function"}]}


async def test_tool_calls_add_up() -> None:
    async with House.open() as house:
        asking = house.client.start("POST", "/v1/chat/completions", {**CHAT, "tools": [{"a": 1}]})
        task = await house.task()
        first = {"index": 0, "id": "c1", "type": "function"}
        parts = (
            {"tool_calls": [{**first, "function": {"name": "f", "arguments": '{"a"'}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]},
        )

        await house.say(task, delta=json.dumps(parts[0]))
        await house.say(task, delta=json.dumps(parts[1]), at=1, finish=FinishReason.TOOL_CALLS)
        choices = (await asking.done()).json()["choices"]

        message = choices[0]["message"]  # type: ignore[index,call-overload]
        called = {"name": "f", "arguments": '{"a":1}'}
        assert message["tool_calls"] == [{"id": "c1", "type": "function", "function": called}]  # type: ignore[index,call-overload]
        assert message["content"] is None  # type: ignore[index,call-overload]


async def test_a_streamed_tool_call_keeps_its_place_beside_text() -> None:
    async with House.open() as house:
        body = {**CHAT, "tools": [{"a": 1}], "stream": True}
        asking = house.client.start("POST", "/v1/chat/completions", body)
        call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f"}}

        delta = json.dumps({"tool_calls": [call]})
        task = await house.task()
        await house.say(task, "Let me see.", delta=delta, finish=FinishReason.TOOL_CALLS)
        await asking.done()

        chunk = json.loads(asking.events()[-2])
        assert chunk["choices"][0]["delta"] == {"content": "Let me see.", "tool_calls": [call]}


async def test_the_last_piece_ends_the_answer_before_the_task_is_settled() -> None:
    async with House.open() as house:
        asking = house.client.start("POST", "/v1/completions", HELLO)
        task = await house.task()

        await house.answer(task, "x")
        await asking.done()
        await house.end(task, Outcome.COMPLETED)

        assert asking.status == 200
        assert house.told(TaskCancelled) == []
        assert house.replies.desk.open_bytes.total() == 0


async def test_an_ending_that_overtakes_the_last_piece_does_not_cut_the_answer() -> None:
    async with House.open() as house:
        asking = house.client.start("POST", "/v1/completions", HELLO)
        task = await house.task()

        await house.end(task, Outcome.COMPLETED)
        await house.answer(task, "whole", " answer")

        assert (await asking.done()).status == 200


async def test_pieces_out_of_turn_are_not_heard() -> None:
    async with House.open() as house:
        asking = house.client.start("POST", "/v1/completions", {**HELLO, "stream": True})
        task = await house.task()

        await house.say(task, "a", fence=Fence(2, 2))
        await house.say(task, "stale", fence=Fence(2, 1), at=1)
        await house.say(task, "a", fence=Fence(2, 2))
        await house.say(task, "foreign", fence=Fence(2, 2), at=1, incarnation="another life")
        await house.say(task, "b", fence=Fence(2, 2), at=1, finish=FinishReason.STOP)
        await asking.done()

        assert asking.text() == "ab"


async def test_models_are_listed_and_told() -> None:
    async with House.open() as house:
        listed = (await house.client.get("/v1/models")).json()
        one = await house.client.get("/v1/models/cato-demo")

        assert [model["id"] for model in listed["data"]] == ["cato-demo"]  # type: ignore[union-attr,index,call-overload]
        assert one.json()["id"] == "cato-demo"
        assert (await house.client.get("/v1/models/other")).status == 404


async def test_the_house_tells_how_it_is() -> None:
    async with House.open() as house:
        pages = {
            path: await house.client.get(path) for path in ("/healthz", "/readyz", "/metrics", "/")
        }

        assert {path: page.status for path, page in pages.items()} == dict.fromkeys(pages, 200)
        assert b"1 workers with 8 slots" in pages["/"].raw


async def test_a_prompt_of_256_kib_passes_whatever_it_contains() -> None:
    async with House.open(knobs=Knobs()) as house:
        for character in ("\x01", "é", "\U0001f600", "x"):
            prompt = character * (256 * 1024 // len(character.encode()))
            asking = house.client.start("POST", "/v1/completions", {**HELLO, "prompt": prompt})
            task = await house.task(len(house.told(TaskSubmitted)))

            await house.answer(task, "ok")

            assert (await asking.done()).status == 200
