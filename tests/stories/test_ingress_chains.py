"""A client asks for several steps at once, follows them, and gets one answer or one plain no."""

import json
from typing import Any

import pytest
from pydantic import JsonValue

from services.ingress.conversation import OVERTAKEN_S
from shared.domain.fence import Fence
from shared.domain.outcome import FinishReason, Outcome
from shared.domain.task import LatencyClass, Promise, Step
from shared.messages.catalogue import StepEnded, TaskEnded, TaskSubmitted, TokensProduced, Usage
from tests.stories.front_door import House

TASKS = "/v1/tasks"
TRANSLATION: dict[str, JsonValue] = {
    "recipe": "translation",
    "code": "def f(): ...",
    "language": "python",
    "target_language": "C# 12",
}
ONE: dict[str, JsonValue] = {"kind": "summarization", "prompt": "Sum up {input}", "max_tokens": 9}
TWO: dict[str, JsonValue] = {"kind": "review", "prompt": "Judge {previous}", "max_tokens": 9}
STEPS: dict[str, JsonValue] = {"code": "x = 1", "steps": [ONE, TWO]}
USED = Usage(prompt_tokens=3, completion_tokens=4)


async def say(
    house: House, task: TaskSubmitted, stage: int, *texts: str, branch: int = 0, number: int = 1
) -> None:
    """Play a worker that answers one step as a whole."""
    for at, text in enumerate(texts):
        await house.bus.publish(
            TokensProduced(
                task_id=task.task_id,
                fence=Fence(1, number),
                worker="worker-1/1",
                reply_to=task.reply_to,
                sequence=at,
                text=text,
                finish_reason=FinishReason.STOP if at == len(texts) - 1 else None,
                step=Step(chain=task.task_id, stage=stage, branch=branch),
            )
        )
    await house.settle()


async def end(
    house: House,
    task: TaskSubmitted,
    *answers: tuple[int, int, int],
    outcome: Outcome = Outcome.COMPLETED,
    error: str | None = None,
) -> None:
    """Play the scheduler: these steps (stage, branch, number of the fence) gave the answer."""
    steps = tuple(
        StepEnded(
            stage=stage,
            branch=branch,
            name="any",
            kind="review",
            fence=Fence(1, number),
            is_answer=True,
        )
        for stage, branch, number in answers
    )
    await house.bus.publish(
        TaskEnded(
            task_id=task.task_id,
            kind="translation",
            latency_class=LatencyClass.E2E,
            tenant=task.tenant,
            outcome=outcome,
            fence=Fence(1, 1),
            reply_to=task.reply_to,
            received_at=task.received_at,
            ended_at=house.clock.now(),
            usage=USED,
            steps=steps,
            error=error,
            is_refused=error is not None,
        )
    )
    await house.settle()


async def looked_at(house: House, task: TaskSubmitted) -> dict[str, Any]:
    told: dict[str, Any] = (await house.client.get(f"{TASKS}/{task.task_id}")).json()
    return told


async def events_of(house: House, task: TaskSubmitted) -> list[dict[str, Any]]:
    following = await house.client.start("GET", f"{TASKS}/{task.task_id}/events").done()
    return [json.loads(event) for event in following.events()]


async def test_a_recipe_is_one_task_with_one_promise_and_its_steps() -> None:
    async with House.open() as house:
        accepted = await house.client.post(TASKS, TRANSLATION)
        task = await house.task()

        told: dict[str, Any] = accepted.json()
        assert accepted.status == 202
        assert [step["name"] for step in told["steps"]] == ["summary", "draft", "repair"]
        assert told["steps"][2]["unless_parses"] == "c#"
        assert "unchecked" not in told
        assert task.kind == "translation"
        assert task.promise == Promise(e2e_s=20)
        assert len(house.told(TaskSubmitted)) == 1


async def test_a_language_without_a_parser_is_told_to_be_unchecked() -> None:
    async with House.open() as house:
        body = {**TRANSLATION, "target_language": "COBOL"}
        told: dict[str, Any] = (await house.client.post(TASKS, body)).json()

        assert [step["name"] for step in told["steps"]] == ["summary", "draft"]
        assert "parsers for python, json, toml, bash, c, c++" in told["unchecked"]


async def test_files_are_summarized_side_by_side() -> None:
    async with House.open() as house:
        files: JsonValue = {"a.py": "a = 1", "b.py": "b = 2"}
        body: dict[str, JsonValue] = {"recipe": "documentation", "files": files, "max_tokens": 50}
        await house.client.post(TASKS, body)
        summaries, overview = (await house.task()).body.stages

        assert summaries.over == ("a.py\n```\na = 1\n```", "b.py\n```\nb = 2\n```")
        assert overview.branches == 1
        assert {summaries.max_tokens, overview.max_tokens} == {50}


async def test_steps_without_a_promise_get_what_their_kinds_usually_get() -> None:
    async with House.open() as house:
        await house.client.post(TASKS, STEPS)
        await house.client.post(TASKS, {**STEPS, "promise": {"e2e_ms": 3000}})

        assert (await house.task(0)).promise == Promise(e2e_s=10)
        assert (await house.task(1)).promise == Promise(e2e_s=3)


async def test_events_tell_each_step_and_then_the_answer() -> None:
    async with House.open() as house:
        await house.client.post(TASKS, TRANSLATION)
        task = await house.task()

        await say(house, task, 0, "adds ", "one")
        running = await looked_at(house, task)
        await say(house, task, 1, "def g(): ...", number=2)
        await end(house, task, (1, 0, 2))

        events = await events_of(house, task)
        assert [(event["type"], event.get("state"), event.get("name")) for event in events] == [
            ("step", "started", "summary"),
            ("step", "ended", "summary"),
            ("step", "started", "draft"),
            ("step", "ended", "draft"),
            ("token", None, None),
            ("ended", None, None),
        ]
        assert events[1]["output"] == "adds one"
        assert events[4]["text"] == "def g(): ..."
        assert [step["status"] for step in running["steps"]] == ["ended", "waiting", "waiting"]


async def test_the_answer_lies_ready_and_what_was_not_needed_is_called_so() -> None:
    async with House.open() as house:
        await house.client.post(TASKS, TRANSLATION)
        task = await house.task()
        await say(house, task, 0, "adds one")
        await say(house, task, 1, "def g(): ...", number=2)
        await end(house, task, (1, 0, 2), outcome=Outcome.LATE)

        told = await looked_at(house, task)
        assert (told["status"], told["outcome"]) == ("ended", "late")
        assert told["output"] == "def g(): ..."
        assert told["usage"]["total_tokens"] == 7
        assert [step["status"] for step in told["steps"]] == ["ended", "ended", "skipped"]
        assert house.cancelled() == set()


async def test_an_ending_that_overtakes_the_last_piece_waits_for_it() -> None:
    async with House.open() as house:
        await house.client.post(TASKS, STEPS)
        task = await house.task()
        await end(house, task, (1, 0, 2))
        before = await looked_at(house, task)

        await say(house, task, 1, "it is good", number=2)

        assert before["status"] == "queued"
        assert (await looked_at(house, task))["output"] == "it is good"


async def test_an_answer_that_never_comes_is_not_waited_for_without_end() -> None:
    async with House.open() as house:
        await house.client.post(TASKS, STEPS)
        task = await house.task()
        await end(house, task, (1, 0, 2))

        await house.until(
            lambda: task.task_id not in house.ingress.gate.desk.conversations,
            within_s=OVERTAKEN_S + 1,
            saying="it is given up",
        )

        assert "lost on its way" in (await looked_at(house, task))["error"]["message"]


async def test_only_the_newest_attempt_at_a_step_is_heard() -> None:
    async with House.open() as house:
        await house.client.post(TASKS, STEPS)
        task = await house.task()

        await say(house, task, 1, "new", number=5)
        await say(house, task, 1, "old", number=4)
        await end(house, task, (1, 0, 5))

        assert (await looked_at(house, task))["output"] == "new"


async def test_parts_side_by_side_are_one_answer_in_their_order() -> None:
    async with House.open() as house:
        last: JsonValue = {**ONE, "prompt": "Sum up {item}", "over": ["a", "b"]}
        await house.client.post(TASKS, {"code": "x", "steps": [last]})
        task = await house.task()

        await say(house, task, 0, "of b", branch=1, number=2)
        await say(house, task, 0, "of a", branch=0, number=1)
        await end(house, task, (0, 0, 1), (0, 1, 2))

        assert (await looked_at(house, task))["output"] == "of a\n\nof b"


async def test_a_chain_that_fails_says_why() -> None:
    async with House.open() as house:
        await house.client.post(TASKS, STEPS)
        task = await house.task()
        await say(house, task, 0, "long")
        await end(house, task, outcome=Outcome.FAILED, error="its steps answered too much")

        told = await looked_at(house, task)
        assert told["error"]["message"] == "the engine refused it: its steps answered too much"
        assert told["error"]["type"] == "invalid_request_error"


def with_step(**fields: JsonValue) -> dict[str, JsonValue]:
    return {"code": "x", "steps": [ONE, {**TWO, **fields}]}


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        ({"code": "x", "steps": []}, "steps", "1 to 64"),
        ({"code": "x", "steps": [ONE] + [TWO] * 64}, "steps", "65 steps"),
        ({"code": "x", "steps": [{"kind": "review", "prompt": "{input}"}]}, "steps.0.max_tokens",
         "required"),
        ({"code": "x", "steps": [{**ONE, "prompt": "no mark"}]}, "steps.0.prompt", "{input}"),
        ({"code": "x", "steps": [{**ONE, "prompt": "{previous}"}]}, "steps.0.prompt", "not known"),
        ({"code": "x", "steps": [{**ONE, "prompt": "{item}"}]}, "steps.0.prompt", "{item}"),
        ({**STEPS, "recipe": "translation"}, "recipe", "not both"),
        ({"code": "x", "recipe": "stew"}, "recipe", "translation, documentation"),
        ({"recipe": "translation", "code": "x"}, "target_language", "needs"),
        ({"recipe": "documentation", "files": {}}, "files", "needs"),
        ({"recipe": "documentation", "files": {f"{n}": "x" for n in range(65)}}, "files", "65"),
        ({**TRANSLATION, "files": {"a": "b"}}, "files", "takes no files"),
        ({**STEPS, "files": {"a": "b"}}, "files", "over"),
        ({"code": "x", "files": {"a": "b"}}, "files", "recipe"),
        (with_step(kind="poetry"), "steps.1.kind", "poetry"),
        (with_step(prompt="{input}"), "steps.1.prompt", "comes before"),
        (with_step(prompt="{previous} {x}"), "steps.1.prompt", "{x}"),
        (with_step(name="input"), "steps.1.name", "taken"),
        (with_step(name="A B"), "steps.1.name", "pattern"),
        (with_step(over=[]), "steps.1.over", "1 to 64"),
        (with_step(over=["x"] * 65), "steps.1.over", "65"),
        (with_step(unless_parses="cobol"), "steps.1.unless_parses", "typescript"),
        (with_step(max_tokens=0), "steps.1.max_tokens", "greater"),
        (with_step(next="step_1"), "steps.1.next", "not permitted"),
        ({"code": "x", "steps": [{**ONE, "unless_parses": "python"}]}, "steps.0.unless_parses",
         "first step"),
        ({**STEPS, "promise": {"ttft_ms": 100}}, "promise.e2e_ms", "as a whole"),
        ({"code": "x", "steps": [{**ONE, "max_tokens": 10**9}]}, "max_tokens", "context"),
        ({"code": "x", "steps": [ONE] + [{**TWO, "over": ["y"] * 64}] * 4 + [TWO]}, "steps",
         "at most 256"),
        ({"code": "x", "steps": "none"}, "steps", "array"),
    ],
)  # fmt: skip
async def test_a_chain_that_cannot_be_is_refused_by_name(
    body: dict[str, JsonValue], param: str, says: str
) -> None:
    async with House.open() as house:
        refused = await house.client.post(TASKS, body)

        assert refused.status == 400
        assert refused.error()["param"] == param
        assert says in str(refused.error()["message"])
        assert house.told(TaskSubmitted) == []
