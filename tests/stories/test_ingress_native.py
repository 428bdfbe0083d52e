"""Tasks whose client comes and goes: submitted, looked at, followed, cancelled, repeated."""

import asyncio
import json

from shared.domain.outcome import Outcome
from shared.messages.catalogue import TaskSubmitted
from tests.stories.front_door import HELLO, House

TASKS = "/v1/tasks"
SUMMARY = {"kind": "summarization", "code": "def f(): ...", "language": "python"}
COMPLETIONS = "/v1/completions"


async def test_a_native_task_is_accepted_with_an_id_and_a_predicted_finish() -> None:
    async with House.open() as house:
        await house.report(wait_s=3)
        accepted = await house.client.post(TASKS, SUMMARY)
        task = await house.task()

        told = accepted.json()
        assert accepted.status == 202
        assert told["id"] == task.task_id
        assert told["status"] == "queued"
        assert "ingress" not in told
        assert float(str(told["predicted_finish_at"])) > house.clock.now() + 3
        assert accepted.headers["location"] == f"{TASKS}/{task.task_id}"
        assert task.detached
        assert task.kind == "summarization"
        assert task.body.route == "tasks"


async def test_a_native_task_can_be_looked_at_until_it_has_ended() -> None:
    async with House.open() as house:
        await house.client.post(TASKS, SUMMARY)
        task = await house.task()
        place = f"{TASKS}/{task.task_id}"

        await house.say(task, "It ")
        running = (await house.client.get(place)).json()
        await house.say(task, "works", at=1)
        await house.end(task, Outcome.FAILED)
        failed = (await house.client.get(place)).json()

        assert running["status"] == "running"
        assert failed["status"] == "ended"
        assert failed["outcome"] == "failed"
        assert "ingress" not in running.keys() | failed.keys()


async def test_the_answer_of_a_native_task_lies_ready() -> None:
    async with House.open() as house:
        await house.client.post(TASKS, SUMMARY)
        task = await house.task()

        await house.answer(task, "It ", "works")
        told = (await house.client.get(f"{TASKS}/{task.task_id}")).json()

        assert told["output"] == "It works"
        assert told["outcome"] == "completed"
        assert house.cancelled() == set()


async def test_a_native_task_goes_on_while_redis_is_away_and_lies_ready_afterwards() -> None:
    async with House.open() as house:
        await house.client.post(TASKS, SUMMARY)
        task = await house.task()
        place = f"{TASKS}/{task.task_id}"
        following = house.client.start("GET", f"{place}/events")
        await house.settle()

        house.log.is_away = True
        await house.answer(task, "It ", "works")
        await asyncio.sleep(10)
        assert house.cancelled() == set()
        house.log.is_away = False
        await asyncio.sleep(1)

        told = (await house.client.get(place)).json()
        events = (await following.done()).events()
        assert told["output"] == "It works"
        assert [json.loads(event).get("text") for event in events] == ["It ", "works", None]


async def test_a_native_task_is_accepted_once_though_redis_leaves_in_the_middle_of_it() -> None:
    async with House.open() as house:
        house.log.leaves_when_opened = True
        accepted = await house.client.post(TASKS, SUMMARY)

        assert accepted.status == 202
        assert accepted.json()["id"] == (await house.task()).task_id


async def test_whoever_leaves_a_task_that_goes_on_is_not_kept_in_mind() -> None:
    async with House.open() as house:
        for _ in range(3):
            asking = house.client.start("POST", COMPLETIONS, HELLO, idempotency_key="k")
            await house.task()
            asking.leave()
            await asking.done()
        await house.settle()

        followed = [task.get_coro() for task in asyncio.all_tasks()]
        assert not [each for each in followed if "follow" in getattr(each, "__qualname__", "")]


async def test_events_can_be_read_again_from_where_the_client_left() -> None:
    async with House.open() as house:
        await house.client.post(TASKS, SUMMARY)
        task = await house.task()
        place = f"{TASKS}/{task.task_id}/events"
        await house.say(task, "a")
        first = house.client.start("GET", place)
        await house.settle()
        seen_id = first.raw.decode().split("\n")[0].removeprefix("id: ")
        first.leave()
        await first.done()

        await house.say(task, "b", at=1)
        rest = house.client.start("GET", place, last_event_id=seen_id)
        await house.answer_from(task, 2, "c")
        await rest.done()

        events = [json.loads(event) for event in rest.events()]
        assert [event.get("text") for event in events] == ["b", "c", None]
        assert events[-1]["type"] == "ended"
        assert house.cancelled() == set(), "following is not holding"


async def test_a_garbled_event_id_is_refused() -> None:
    async with House.open() as house:
        await house.client.post(TASKS, SUMMARY)
        task = await house.task()

        refused = await house.client.get(
            f"{TASKS}/{task.task_id}/events", last_event_id="yesterday"
        )

        assert refused.status == 400
        assert refused.error()["param"] == "last-event-id"


async def test_a_native_task_is_cancelled_by_its_id() -> None:
    async with House.open() as house:
        await house.client.post(TASKS, SUMMARY)
        task = await house.task()
        place = f"{TASKS}/{task.task_id}"

        answer = await house.client.start("DELETE", place).done()
        await house.end(task, Outcome.CANCELLED)
        again = await house.client.start("DELETE", place).done()

        assert answer.json()["status"] == "cancelling"
        assert house.cancelled() == {task.task_id}
        assert again.json()["outcome"] == "cancelled"


async def test_a_native_task_that_asks_for_nothing_is_refused() -> None:
    async with House.open() as house:
        for body, param in (
            ({}, "code"),
            ({"code": "x", "kind": "poetry"}, "kind"),
            ({"code": "x", "kind": "translation"}, "target_language"),
            ({"code": "x", "steps": []}, "steps"),
            ({"code": "x", "promise": {"ttft_ms": -1}}, "promise.ttft_ms"),
        ):
            refused = await house.client.post(TASKS, body)

            assert refused.status == 400
            assert refused.error()["param"] == param


async def test_a_repeated_key_returns_the_running_task() -> None:
    async with House.open() as house:
        asking = [
            house.client.start("POST", COMPLETIONS, HELLO, idempotency_key="k") for _ in range(2)
        ]
        task = await house.task()

        await house.answer(task, "on", "ce")
        answers = [(await each.done()).json() for each in asking]

        assert len(house.told(TaskSubmitted)) == 1
        assert [each["choices"][0]["text"] for each in answers] == ["once", "once"]  # type: ignore[index,call-overload]
        assert answers[0]["id"] == answers[1]["id"]


async def test_a_repeated_key_returns_the_finished_task_and_streams_it_too() -> None:
    async with House.open() as house:
        body = {**HELLO, "stream": True}
        first = house.client.start("POST", COMPLETIONS, body, idempotency_key="k")
        await house.answer(await house.task(), "on", "ce")
        await first.done()

        second = await house.client.post(COMPLETIONS, body, idempotency_key="k")

        assert second.text() == first.text() == "once"
        assert len(house.told(TaskSubmitted)) == 1


async def test_a_repeated_key_with_another_body_is_a_conflict() -> None:
    async with House.open() as house:
        first = house.client.start("POST", COMPLETIONS, HELLO, idempotency_key="k")
        await house.answer(await house.task(), "x")
        await first.done()

        refused = await house.client.post(
            COMPLETIONS, {**HELLO, "prompt": "other"}, idempotency_key="k"
        )

        assert refused.status == 409
        assert refused.headers["x-should-retry"] == "false"


async def test_a_key_whose_task_got_no_answer_may_try_again() -> None:
    async with House.open() as house:
        first = house.client.start("POST", COMPLETIONS, HELLO, idempotency_key="k")
        await house.end(await house.task(), Outcome.SHED, retry_after_s=1)
        shed = await first.done()

        second = house.client.start("POST", COMPLETIONS, HELLO, idempotency_key="k")
        await house.answer(await house.task(1), "x")

        assert shed.status == 429
        assert (await second.done()).status == 200


async def test_a_key_whose_task_was_refused_may_try_again() -> None:
    async with House.open() as house:
        await house.report(workers=0)
        refused = await house.client.post(COMPLETIONS, HELLO, idempotency_key="k")
        await house.report()

        second = house.client.start("POST", COMPLETIONS, HELLO, idempotency_key="k")
        await house.answer(await house.task(), "x")

        assert refused.status == 503
        assert (await second.done()).status == 200


async def test_who_promised_to_come_back_may_leave_meanwhile() -> None:
    async with House.open() as house:
        first = house.client.start("POST", COMPLETIONS, HELLO, idempotency_key="k")
        task = await house.task()

        first.leave()
        await first.done()
        second = house.client.start("POST", COMPLETIONS, HELLO, idempotency_key="k")
        await asyncio.sleep(0.1)
        await house.answer(task, "x")

        assert house.cancelled() == set()
        assert (await second.done()).status == 200
