"""Several models behind one front door: each request finds its pool, and no pool feels another."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from pydantic import JsonValue

from services.ingress.settings import Knobs
from services.ingress.tenants import Tenants
from shared.domain.outcome import Outcome
from shared.messages.catalogue import TaskCancelled, TaskSubmitted
from shared.messages.pool import LeaderElected
from tests.stories.front_door import HELLO, House

COMPLETIONS = "/v1/completions"
LARGE: dict[str, JsonValue] = {**HELLO, "model": "large"}


@contextlib.asynccontextmanager
async def a_house_of_two(knobs: Knobs | None = None) -> AsyncIterator[House]:
    """Beside the usual pool, `large` with one worker."""
    async with House.open(knobs=knobs) as house:
        await house.report("large")
        yield house


async def elect(house: House, model: str) -> None:
    await house.bus.publish(LeaderElected(model=model, leader="scheduler-1", at=house.clock.now()))
    await house.clock.sleep(1)


async def test_the_model_of_a_request_picks_its_pool() -> None:
    async with a_house_of_two() as house:
        asking = house.client.start("POST", COMPLETIONS, LARGE)

        task = await house.task()
        await house.answer(task, "x")

        assert task.model == "large"
        assert (await asking.done()).json()["model"] == "large"


async def test_who_leaves_is_of_no_concern_to_another_pool() -> None:
    async with a_house_of_two() as house:
        asking = house.client.start("POST", COMPLETIONS, LARGE)
        await house.task()
        asking.leave()
        await asking.done()
        accepted = await house.client.post("/v1/tasks", {"model": "large", "code": "x = 1"})
        await house.client.start("DELETE", accepted.headers["location"]).done()

        await house.until(lambda: len(house.told(TaskCancelled)) == 2, saying="both are cancelled")
        assert {message.model for message in house.told(TaskCancelled)} == {"large"}


async def test_who_names_no_model_is_served_by_the_usual_one() -> None:
    async with a_house_of_two() as house:
        house.client.start("POST", COMPLETIONS, {"prompt": "def f():"})

        assert (await house.task()).model == "cato-demo"


async def test_every_pool_is_listed() -> None:
    async with a_house_of_two() as house:
        listed = (await house.client.get("/v1/models")).json()["data"]

        assert isinstance(listed, list)
        assert [model["id"] for model in listed if isinstance(model, dict)] == [
            "cato-demo",
            "large",
        ]
        assert (await house.client.get("/v1/models/large")).status == 200


async def test_an_unknown_model_is_refused_with_all_that_are_known() -> None:
    async with a_house_of_two() as house:
        completion = await house.client.post(COMPLETIONS, {**HELLO, "model": "gpt-9"})
        task = await house.client.post("/v1/tasks", {"code": "x = 1", "model": "gpt-9"})

        for refused in (completion, task):
            assert refused.status == 404
            assert "known models: cato-demo, large" in str(refused.error()["message"])


async def test_a_pool_without_workers_refuses_its_own_clients_only() -> None:
    async with a_house_of_two() as house:
        await house.report("large", workers=0)

        refused = await house.client.post(COMPLETIONS, LARGE)
        house.client.start("POST", COMPLETIONS, HELLO)

        assert refused.status == 503
        assert refused.error()["code"] == "no_worker"
        assert (await house.task()).model == "cato-demo"


async def test_a_pool_that_is_full_refuses_its_own_clients_only() -> None:
    async with a_house_of_two() as house:
        await house.report("large", is_full=True, wait_s=60)

        refused = await house.client.post(COMPLETIONS, LARGE)
        house.client.start("POST", COMPLETIONS, HELLO)

        assert refused.status == 429
        assert (await house.task()).model == "cato-demo"


async def test_who_waits_for_one_pool_takes_no_room_from_another() -> None:
    async with a_house_of_two(Knobs(max_open_bytes=400)) as house:
        body: dict[str, JsonValue] = {**LARGE, "prompt": "x" * 70}
        house.client.start("POST", COMPLETIONS, body)
        await house.task()

        crowded = await house.client.post(COMPLETIONS, body)
        house.client.start("POST", COMPLETIONS, {**body, "model": "cato-demo"})

        assert crowded.status == 429
        assert (await house.task(1)).model == "cato-demo"


async def test_a_pool_whose_scheduler_falls_silent_stays_known() -> None:
    async with a_house_of_two() as house:
        await house.clock.sleep(6)

        refused = await house.client.post(COMPLETIONS, LARGE)

        assert refused.status == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert house.told(TaskSubmitted) == []


async def test_an_ingress_that_starts_while_a_scheduler_is_away_knows_its_pool() -> None:
    async with House.open() as house:
        await elect(house, "large")
        newcomer = House.around(house.bus, house.clock, Knobs(), Tenants())
        listening = asyncio.create_task(newcomer.ingress.gate.backlogs.listen())
        house.running += [listening, asyncio.create_task(newcomer.replies.serve())]
        await newcomer.until(newcomer.ingress.is_ready, saying="it is ready")

        refused = await newcomer.client.post(COMPLETIONS, LARGE)

        assert refused.status == 503
        assert refused.error()["code"] == "no_worker"


async def test_the_live_page_tells_of_each_pool_apart() -> None:
    async with a_house_of_two() as house:
        await elect(house, "<new>")
        for model in ("cato-demo", "large"):
            house.client.start("POST", COMPLETIONS, {**HELLO, "model": model})
        await house.end(await house.task(0), Outcome.COMPLETED)
        await house.end(await house.task(1), Outcome.LATE)

        told = (await house.client.get("/")).raw.decode()

        assert "No scheduler speaks for it now" in pool_on(told, "&lt;new&gt;")
        assert "1 workers with 8 slots" in pool_on(told, "cato-demo")
        assert "100.0%" in pool_on(told, "cato-demo")
        assert "0.0%" in pool_on(told, "large")
        assert "100.0%" not in pool_on(told, "large")


def pool_on(page: str, model: str) -> str:
    return page.partition(f"<h2>{model}</h2>")[2].partition("<h2>")[0]
