"""An ingress dies with what it held; who asks another one is not left waiting for it."""

import json
from typing import Final

from tests.stories.front_door import HELLO, House

TASKS = "/v1/tasks"
SUMMARY = {"kind": "summarization", "code": "def f(): ...", "language": "python"}
COMPLETIONS = "/v1/completions"
_LEASE_RUNS_OUT_S: Final = 11.0
_SURE_S: Final = 6.0


async def test_a_key_whose_ingress_has_died_may_try_again_at_another_one() -> None:
    async with House.open() as house:
        house.client.start("POST", COMPLETIONS, HELLO, idempotency_key="k")
        lost = await house.task()
        await house.end_this_life_of_the_ingress()
        await house.clock.sleep(_LEASE_RUNS_OUT_S)

        again = house.client.start("POST", COMPLETIONS, HELLO, idempotency_key="k")
        await house.clock.sleep(_SURE_S)
        await house.answer(await house.task(1), "on", "ce")

        assert (await again.done()).status == 200
        assert lost.task_id in house.cancelled()


async def test_who_asks_before_the_death_is_known_is_told_of_it_and_may_try_again() -> None:
    async with House.open() as house:
        house.client.start("POST", COMPLETIONS, HELLO, idempotency_key="k")
        await house.task()
        await house.end_this_life_of_the_ingress()

        told = await house.client.post(COMPLETIONS, HELLO, idempotency_key="k")
        again = house.client.start("POST", COMPLETIONS, HELLO, idempotency_key="k")
        await house.clock.sleep(_SURE_S)
        await house.answer(await house.task(1), "on", "ce")

        assert told.status == 502
        assert "has died; ask again" in str(told.error()["message"])
        assert (await again.done()).status == 200


async def test_who_follows_a_task_whose_ingress_has_died_is_told_that_it_is_lost() -> None:
    async with House.open() as house:
        await house.client.post(TASKS, SUMMARY)
        task = await house.task()
        await house.say(task, "It ")
        following = house.client.start("GET", f"{TASKS}/{task.task_id}/events")

        await house.end_this_life_of_the_ingress()

        last = json.loads((await following.done()).events()[-1])
        told = (await house.client.get(f"{TASKS}/{task.task_id}")).json()
        assert (last["type"], last["outcome"]) == ("ended", "failed")
        assert (told["status"], told["outcome"]) == ("ended", "failed")
        assert "has died; ask again" in str(told["error"])


async def test_a_task_is_followed_for_as_long_as_its_ingress_lives() -> None:
    async with House.open() as house:
        await house.client.post(TASKS, SUMMARY)
        task = await house.task()
        following = house.client.start("GET", f"{TASKS}/{task.task_id}/events")

        await house.clock.sleep(300)
        await house.answer(task, "It ", "works")

        events = [json.loads(event) for event in (await following.done()).events()]
        assert [event.get("text") for event in events] == ["It ", "works", None]
