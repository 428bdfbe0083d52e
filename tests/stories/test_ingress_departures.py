"""Clients leave, dawdle or come back; kafka, leases and the ingress itself come and go, too."""

import asyncio
import hashlib
from collections.abc import Awaitable

import pytest

from services.ingress.settings import Knobs
from services.ingress.tenants import Tenant, Tenants
from shared.adapters.memory_bus import MemoryBus
from shared.domain.errors import Unavailable
from shared.domain.outcome import Outcome
from shared.messages.bus import Position
from shared.messages.catalogue import TaskSubmitted
from shared.messages.message import Message
from tests.stories.front_door import HELLO, House

COMPLETIONS = "/v1/completions"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("heard", [(), ("a",), ("a", "b")])
async def test_a_client_that_leaves_cancels_its_task(stream: bool, heard: tuple[str, ...]) -> None:
    async with House.open() as house:
        asking = house.client.start("POST", COMPLETIONS, {**HELLO, "stream": stream})
        task = await house.task()
        for at, text in enumerate(heard):
            await house.say(task, text, at=at)

        asking.leave()
        await asking.done()

        assert house.cancelled() == {task.task_id}
        assert house.replies.desk.conversations == {}


async def test_a_client_that_leaves_while_the_head_is_held_leaves_no_head() -> None:
    async with House.open() as house:
        asking = house.client.start("POST", COMPLETIONS, {**HELLO, "stream": True})
        task = await house.task()

        asking.leave()
        await asking.done()

        assert asking.status is None
        assert house.cancelled() == {task.task_id}


async def test_a_client_that_has_its_answer_cancels_nothing_by_leaving() -> None:
    async with House.open() as house:
        asking = house.client.start("POST", COMPLETIONS, {**HELLO, "stream": True})

        await house.answer(await house.task(), "a", "b")
        await asking.done()
        asking.leave()
        await house.settle()

        assert house.cancelled() == set()


async def test_a_client_that_leaves_before_its_request_is_whole_costs_nothing() -> None:
    async with House.open() as house:
        asking = house.client.send("POST", COMPLETIONS, [], {})

        asking.leave()
        await asking.done()

        assert house.told(TaskSubmitted) == []


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    async with House.open(knobs=Knobs(client_buffer_bytes=4096)) as house:
        asking = house.client.start("POST", COMPLETIONS, {**HELLO, "stream": True})
        task = await house.task()
        await house.say(task, "begin")
        asking.reads.clear()

        for at in range(1, 30):
            await house.say(task, "x" * 500, at=at)
        await asking.done()

        assert asking.has_left.is_set()
        assert house.cancelled() == {task.task_id}


async def test_a_lost_lease_ends_its_conversations_and_another_one_begins() -> None:
    async with House.open() as house:
        asking = house.client.start("POST", COMPLETIONS, HELLO)
        task = await house.task()
        here = task.reply_to

        await house.leases.release(here.partition, here.incarnation)
        assert await house.leases.acquire("another ingress") == here.partition
        refused = await asking.done()
        await house.until(house.ingress.is_ready, saying="a lease is held again")
        again = house.client.start("POST", COMPLETIONS, HELLO)
        other = await house.task(1)
        await house.answer(other, "x")

        assert refused.status == 503
        assert house.cancelled() == {task.task_id}
        assert other.reply_to.partition != here.partition
        assert (await again.done()).status == 200


async def test_an_ingress_that_shuts_down_finishes_what_it_has_and_takes_nothing_new() -> None:
    async with House.open() as house:
        asking = house.client.start("POST", COMPLETIONS, {**HELLO, "stream": True})
        task = await house.task()
        await house.say(task, "a")

        draining = asyncio.create_task(house.ingress.drain(20))
        await house.settle()
        refused = await house.client.post(COMPLETIONS, HELLO)
        readiness = await house.client.get("/readyz")
        await house.say(task, "b", at=1)
        await house.end(task, Outcome.FAILED)
        await asking.done()
        await draining

        assert refused.status == 503
        assert refused.headers["x-cato-dropped-reason"] == "rejected-shutting-down"
        assert readiness.status == 503
        assert (await house.client.get("/healthz")).status == 200
        assert asking.text().startswith("ab") or "ab" in asking.raw.decode().replace('"', "")


async def test_what_does_not_finish_in_time_is_broken_off_and_cancelled() -> None:
    async with House.open() as house:
        asking = house.client.start("POST", COMPLETIONS, HELLO)
        task = await house.task()

        await house.ingress.drain(1)

        assert (await asking.done()).status == 503
        assert house.cancelled() == {task.task_id}


class DeafBus(MemoryBus):
    """Takes submissions and never acknowledges one."""

    async def publish(self, message: Message) -> Awaitable[Position]:
        taken = await super().publish(message)
        if not isinstance(message, TaskSubmitted):
            return taken
        refused: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        refused.set_exception(Unavailable("no acknowledgement"))
        return refused


class AwayBus(MemoryBus):
    async def publish(self, message: Message) -> Awaitable[Position]:
        if isinstance(message, TaskSubmitted):
            raise Unavailable("no broker")
        return await super().publish(message)


async def test_what_kafka_does_not_take_costs_no_quota() -> None:
    acme = Tenant(name="acme", tokens_per_min=1000)
    tenants = Tenants(((hashlib.sha256(b"secret").digest(), acme),))
    async with House.open(bus=AwayBus, tenants=tenants) as house:
        for _ in range(3):
            body = {**HELLO, "max_tokens": 900}
            refused = await house.client.post(COMPLETIONS, body, authorization="Bearer secret")
            await house.settle()

            assert refused.status == 503


@pytest.mark.parametrize("bus", [DeafBus, AwayBus])
@pytest.mark.parametrize("stream", [False, True])
async def test_what_kafka_does_not_take_is_not_accepted(bus: type[MemoryBus], stream: bool) -> None:
    async with House.open(bus=bus) as house:
        refused = await house.client.post(COMPLETIONS, {**HELLO, "stream": stream})

        assert refused.status == 503
        assert refused.error()["code"] == "unavailable"
        assert "retry-after" in refused.headers
        assert house.replies.desk.open_bytes.total() == 0
        assert house.cancelled() == {task.task_id for task in house.told(TaskSubmitted)}
