"""Two models behind one name: the small one answers where its answer does, within one promise."""

import pytest
from pydantic import JsonValue

from services.ingress.settings import Knobs
from shared.domain.outcome import FinishReason, Outcome
from tests.stories.front_door import CHAT, House
from tests.stories.two_models import AUTO, BAD, COMPLETIONS, GOOD, a_house_of_two, models, text_of

# Of 300 ms; the house itself takes 20.
LAST_CALL_S = 0.28


@pytest.mark.parametrize("stream", [False, True])
async def test_a_small_answer_that_fits_is_the_answer(stream: bool) -> None:
    async with a_house_of_two() as house:
        asking = house.client.start("POST", COMPLETIONS, {**AUTO, "stream": stream})
        await house.answer(await house.task(), "2 * ", "x")
        await asking.done()

        assert text_of(asking, stream=stream) == GOOD
        assert b'"model": "small"' in asking.raw.replace(b'":"', b'": "')
        assert models(house) == ["small"]
        assert house.cancelled() == set()


async def test_nothing_of_a_small_answer_is_told_before_it_was_judged() -> None:
    async with a_house_of_two() as house:
        asking = house.client.start("POST", COMPLETIONS, {**AUTO, "stream": True})
        task = await house.task()
        await house.say(task, "2 * ")
        await house.clock.sleep(0.2)

        assert (asking.status, asking.raw) == (None, b"")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("said", "finish"), [(BAD, FinishReason.STOP), (GOOD, FinishReason.LENGTH), ("", "stop")]
)
async def test_where_it_does_not_fit_the_large_model_is_asked_within_the_same_promise(
    said: str, finish: FinishReason, stream: bool
) -> None:
    async with a_house_of_two() as house:
        asking = house.client.start(
            "POST", COMPLETIONS, {**AUTO, "stream": stream}, x_slo_ttft_ms="900"
        )
        small = await house.task()
        await house.clock.sleep(0.1)
        await house.say(small, said, finish=finish)
        large = await house.task(1)
        await house.answer(large, "x + ", "x")
        await asking.done()

        assert text_of(asking, stream=stream) == "x + x"
        assert models(house) == ["small", "large"]
        assert small.task_id != large.task_id
        assert (large.received_at, large.promise) == (small.received_at, small.promise)
        assert house.replies.desk.conversations == {}


async def test_a_small_model_that_fails_is_followed_by_the_large_one() -> None:
    async with a_house_of_two() as house:
        asking = house.client.start("POST", COMPLETIONS, AUTO)
        await house.end(await house.task(), Outcome.FAILED)
        await house.answer(await house.task(1), "x + x")

        assert (await asking.done()).json()["model"] == "large"


async def test_the_large_model_is_asked_as_late_as_it_can_still_make_it() -> None:
    async with a_house_of_two(large_step_s=0.1) as house:
        asking = house.client.start("POST", COMPLETIONS, AUTO)
        small = await house.task()
        await house.say(small, "2 * ")
        await house.clock.sleep(small.received_at + LAST_CALL_S - 0.1 - 0.005 - house.clock.now())
        before = models(house)
        await house.clock.sleep(0.01)
        large = await house.task(1)
        await house.say(small, "x", at=1, finish=FinishReason.STOP)
        await house.answer(large, "x + x")

        assert before == ["small"]
        assert text_of(await asking.done(), stream=False) == "x + x"
        assert house.cancelled() == {small.task_id}


async def test_a_small_model_that_would_not_be_done_in_time_is_not_asked() -> None:
    async with a_house_of_two() as house:
        await house.report("small", step_s=0.1)

        house.client.start("POST", COMPLETIONS, AUTO)

        assert (await house.task()).model == "large"


@pytest.mark.parametrize(("workers", "is_full"), [(0, False), (1, True)])
async def test_where_the_small_pool_takes_nothing_the_large_one_is_asked_at_once(
    workers: int, is_full: bool
) -> None:
    async with a_house_of_two() as house:
        await house.report("small", workers=workers, is_full=is_full)

        house.client.start("POST", COMPLETIONS, AUTO)

        assert (await house.task()).model == "large"


async def test_a_small_pool_of_which_nobody_heard_is_not_waited_for() -> None:
    async with House.open(knobs=Knobs(small_first={"auto": ("tiny", "cato-demo")})) as house:
        house.client.start("POST", COMPLETIONS, AUTO)

        assert (await house.task()).model == "cato-demo"


@pytest.mark.parametrize(("workers", "wait_s"), [(0, 0), (1, 5)])
async def test_where_the_large_model_cannot_make_it_the_small_one_answers_as_it_writes(
    workers: int, wait_s: float
) -> None:
    async with a_house_of_two() as house:
        await house.report("large", workers=workers, wait_s=wait_s)
        asking = house.client.start("POST", COMPLETIONS, {**AUTO, "stream": True})
        await house.say(await house.task(), BAD)

        assert asking.text() == BAD
        assert models(house) == ["small"]


async def test_a_small_answer_that_does_not_fit_is_better_than_a_refusal() -> None:
    async with a_house_of_two() as house:
        asking = house.client.start("POST", COMPLETIONS, AUTO)
        small = await house.task()
        await house.report("large", is_full=True)
        await house.answer(small, BAD)

        assert text_of(await asking.done(), stream=False) == BAD
        assert models(house) == ["small"]


async def test_a_client_that_leaves_the_small_model_asks_no_other() -> None:
    async with a_house_of_two() as house:
        asking = house.client.start("POST", COMPLETIONS, AUTO)
        small = await house.task()
        asking.leave()
        await asking.done()

        assert house.cancelled() == {small.task_id}
        assert models(house) == ["small"]
        assert house.replies.desk.conversations == {}


async def test_a_client_that_leaves_later_leaves_neither_running() -> None:
    async with a_house_of_two() as house:
        asking = house.client.start("POST", COMPLETIONS, AUTO)
        tasks = {(await house.task(number)).task_id for number in (0, 1)}
        asking.leave()
        await asking.done()

        assert house.cancelled() == tasks
        assert house.replies.desk.conversations == {}


@pytest.mark.parametrize("asked_before", [1, 2])
async def test_a_newer_completion_ends_the_older_one_whichever_model_was_asked(
    asked_before: int,
) -> None:
    async with a_house_of_two() as house:
        older = house.client.start("POST", COMPLETIONS, AUTO, x_cato_session="editor")
        asked = [await house.task(number) for number in range(asked_before)]
        newer = house.client.start("POST", COMPLETIONS, AUTO, x_cato_session="editor")
        refused = await older.done()
        await house.answer(await house.task(asked_before), GOOD)

        assert refused.status == 409
        assert refused.error()["code"] == "superseded"
        assert house.cancelled() == {task.task_id for task in asked}
        assert (await newer.done()).json()["model"] == "small"


async def test_what_a_scheduler_says_is_superseded_is_not_asked_again() -> None:
    async with a_house_of_two() as house:
        asking = house.client.start("POST", COMPLETIONS, AUTO)
        await house.end(await house.task(), Outcome.SUPERSEDED)

        assert (await asking.done()).status == 409
        assert models(house) == ["small"]


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/v1/chat/completions", CHAT, {}),
        ("/v1/tasks", {"code": "x = 1"}, {}),
        (COMPLETIONS, {"prompt": "Write a long story."}, {}),
        (COMPLETIONS, {"prompt": [1, 2], "suffix": "x"}, {}),
        (COMPLETIONS, {**AUTO, "prompt": "function f() {\n  return "}, {}),
        (COMPLETIONS, AUTO, {"x_cato_task": "batch"}),
        (COMPLETIONS, AUTO, {"idempotency_key": "once"}),
    ],
)
async def test_whatever_nobody_can_judge_in_time_goes_straight_to_the_large_model(
    path: str, body: dict[str, JsonValue], headers: dict[str, str]
) -> None:
    async with a_house_of_two() as house:
        house.client.start("POST", path, {**body, "model": "auto"}, **headers)

        assert (await house.task()).model == "large"


async def test_the_name_for_two_models_is_listed_with_theirs() -> None:
    async with a_house_of_two() as house:
        listed = (await house.client.get("/v1/models")).raw

        assert all(f'"{name}"'.encode() in listed for name in ("auto", "small", "large"))
        assert (await house.client.get("/v1/models/auto")).json()["id"] == "auto"
