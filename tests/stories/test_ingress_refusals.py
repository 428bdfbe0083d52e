"""What a client reads when there is no answer: one clear error in the shape of the API."""

import hashlib
from pathlib import Path

import pytest

from services.ingress.settings import Knobs
from services.ingress.tenants import Tenants
from shared.domain.fence import Fence
from shared.domain.outcome import Outcome
from shared.messages.catalogue import TaskSubmitted
from tests.stories.front_door import CHAT, HELLO, House

COMPLETIONS = "/v1/completions"


@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [
        (Outcome.SHED, 429, "overloaded"),
        (Outcome.EXPIRED, 408, "deadline_exceeded"),
        (Outcome.FAILED, 502, "engine_failed"),
        (Outcome.DEAD_LETTERED, 502, "engine_failed"),
        (Outcome.SUPERSEDED, 409, "superseded"),
        (Outcome.CANCELLED, 409, "cancelled"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_task_that_ends_without_an_answer_is_an_error_with_its_own_status(
    outcome: Outcome, status: int, code: str, stream: bool
) -> None:
    async with House.open() as house:
        asking = house.client.start("POST", COMPLETIONS, {**HELLO, "stream": stream})

        await house.end(await house.task(), outcome, retry_after_s=2.5)
        refused = await asking.done()

        assert refused.status == status
        assert refused.error()["code"] == code
        assert house.cancelled() == set()


async def test_who_is_shed_hears_how_long_to_wait() -> None:
    async with House.open() as house:
        asking = house.client.start("POST", COMPLETIONS, HELLO)

        await house.end(await house.task(), Outcome.SHED, retry_after_s=2.5)
        headers = (await asking.done()).headers

        assert headers["retry-after"] == "3"
        assert headers["retry-after-ms"] == "2500"
        assert headers["x-cato-dropped-reason"] == "evicted-queue-pressure"


@pytest.mark.parametrize("outcome", [Outcome.EXPIRED, Outcome.SUPERSEDED])
async def test_what_nobody_wants_any_more_is_not_to_be_repeated(outcome: Outcome) -> None:
    async with House.open() as house:
        asking = house.client.start("POST", COMPLETIONS, HELLO)

        await house.end(await house.task(), outcome)

        assert (await asking.done()).headers["x-should-retry"] == "false"


async def test_a_failure_after_the_first_content_is_told_in_the_stream() -> None:
    async with House.open() as house:
        asking = house.client.start("POST", COMPLETIONS, {**HELLO, "stream": True})
        task = await house.task()

        await house.say(task, "half")
        await house.end(task, Outcome.FAILED)
        await asking.done()

        assert asking.status == 200
        assert asking.is_complete
        assert '"code": "engine_failed"' in asking.events()[-1]


async def test_an_answer_that_begins_anew_elsewhere_is_broken_off() -> None:
    async with House.open() as house:
        asking = house.client.start("POST", COMPLETIONS, {**HELLO, "stream": True})
        task = await house.task()

        await house.say(task, "half")
        await house.say(task, "again", fence=Fence(1, 2))
        await asking.done()

        assert "again" not in asking.raw.decode()
        assert "engine_failed" in asking.events()[-1]
        assert house.cancelled() == {task.task_id}


async def test_a_hole_in_an_answer_is_never_hidden() -> None:
    async with House.open() as house:
        asking = house.client.start("POST", COMPLETIONS, HELLO)
        task = await house.task()

        await house.say(task, "one")
        await house.say(task, "three", at=2)

        assert (await asking.done()).status == 503
        assert house.cancelled() == {task.task_id}


async def test_without_a_scheduler_nothing_is_accepted() -> None:
    async with House.open() as house:
        house.silence_the_scheduler()
        await house.clock.sleep(6)

        refused = await house.client.post(COMPLETIONS, HELLO)

        assert refused.status == 503
        assert refused.error()["code"] == "no_worker"
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.headers["x-cato-dropped-reason"] == "rejected-no-endpoints"


async def test_without_a_worker_nothing_is_accepted() -> None:
    async with House.open() as house:
        await house.report(workers=0)

        assert (await house.client.post(COMPLETIONS, HELLO)).status == 503
        assert house.told(TaskSubmitted) == []


async def test_a_full_queue_refuses_at_once() -> None:
    async with House.open() as house:
        await house.report(is_full=True, wait_s=4)

        refused = await house.client.post("/v1/chat/completions", CHAT)

        assert refused.status == 429
        assert refused.error()["code"] == "overloaded"
        assert refused.headers["retry-after-ms"] == "4000"
        assert refused.headers["x-cato-dropped-reason"] == "rejected-saturated"


async def test_who_could_only_be_served_too_late_hears_when_to_come_back() -> None:
    async with House.open() as house:
        await house.report(wait_s=2)

        refused = await house.client.post(COMPLETIONS, HELLO, x_cato_task="completion")
        patient = house.client.start("POST", COMPLETIONS, HELLO, x_cato_task="translation")
        await house.task()

        assert refused.status == 429
        assert refused.headers["retry-after-ms"] == "800"
        patient.leave()
        await patient.done()


async def test_open_requests_have_a_budget_of_bytes() -> None:
    async with House.open(knobs=Knobs(max_open_bytes=100)) as house:
        body = {**HELLO, "prompt": "x" * 30}
        first = house.client.start("POST", COMPLETIONS, body)
        await house.task()

        assert (await house.client.post(COMPLETIONS, body)).status == 429
        first.leave()
        await first.done()
        second = house.client.start("POST", COMPLETIONS, body)
        await house.answer(await house.task(1), "x")

        assert (await second.done()).status == 200


def some_tenants(tmp_path: Path, more: str = "") -> Tenants:
    digest = hashlib.sha256(b"secret").hexdigest()
    path = tmp_path / "tenants.toml"
    path.write_text(f'[tenants.acme]\nkey_sha256 = ["{digest}"]\n{more}')
    return Tenants.load(path)


@pytest.mark.parametrize("sent", [{}, {"authorization": "Bearer wrong"}, {"authorization": "hm"}])
async def test_who_has_no_key_is_turned_away(tmp_path: Path, sent: dict[str, str]) -> None:
    async with House.open(tenants=some_tenants(tmp_path)) as house:
        for method, path in (("POST", COMPLETIONS), ("GET", "/v1/models"), ("GET", "/v1/tasks/1")):
            refused = await house.client.start(method, path, HELLO, **sent).done()

            assert refused.status == 401
            assert refused.error()["code"] == "invalid_api_key"


async def test_a_key_names_the_tenant(tmp_path: Path) -> None:
    async with House.open(tenants=some_tenants(tmp_path, "shortest_ttft_ms = 200.0")) as house:
        key = "Bearer secret"
        house.client.start("POST", COMPLETIONS, HELLO, authorization=key, x_slo_ttft_ms="1")

        task = await house.task()

        assert task.tenant == "acme"
        assert task.promise is not None
        assert task.promise.ttft_s == 0.2


async def test_who_asks_too_much_hears_where_the_quota_stands(tmp_path: Path) -> None:
    async with House.open(tenants=some_tenants(tmp_path, "requests_per_min = 1")) as house:
        key = "Bearer secret"
        first = house.client.start("POST", COMPLETIONS, HELLO, authorization=key)
        await house.answer(await house.task(), "x")
        await first.done()

        refused = await house.client.post(COMPLETIONS, HELLO, authorization=key)

        assert refused.status == 429
        assert refused.error()["code"] == "rate_limit_exceeded"
        assert refused.headers["x-ratelimit-limit-requests"] == "1"
        assert refused.headers["x-ratelimit-remaining-requests"] == "0"
        assert float(refused.headers["retry-after"]) > 50
