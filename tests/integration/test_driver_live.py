"""The open loop against a small server over real sockets: what is seen, when, and how it ends."""

import asyncio
import sys
from pathlib import Path

import pytest

from loadgen.drivers.client import Client
from loadgen.drivers.errors import ServerRefused, ServerUnreachable
from loadgen.report.document import read_runs
from loadgen.report.observation import Ending
from loadgen.workloads.mixes import Route
from tests.integration.tiny_server import TinyServer, a_request, played


async def test_an_answer_is_seen_token_by_token() -> None:
    server = TinyServer(tokens=3, pace_s=0.3)

    async with server.open() as url:
        (seen,) = (await played(url, [a_request()])).observations

    assert (seen.ending, seen.output_tokens, seen.predicted_kind) == (Ending.ANSWERED, 3, "chat")
    assert (seen.queued_s, seen.worker) == (0.0125, "w/1")
    assert seen.ttft_s is not None
    assert seen.e2e_s is not None
    # A busy machine may read two of them together.
    assert seen.e2e_s - seen.ttft_s > 0.25


async def test_requests_leave_when_planned_and_not_when_answers_come() -> None:
    server = TinyServer(answers_from=10)
    planned_s = [0.02 * i for i in range(10)]

    async with server.open() as url:
        run = await played(url, [a_request(at_s=at_s) for at_s in planned_s])

    assert all(seen.is_answered() for seen in run.observations)
    left_s = [seen.at_s for seen in run.observations]
    late_s = [left - planned for left, planned in zip(left_s, planned_s, strict=True)]
    assert min(late_s) > -0.001
    assert run.sender.late_p99_s == pytest.approx(max(late_s), abs=1e-6)


async def test_what_is_asked_is_what_the_route_knows() -> None:
    server = TinyServer()

    async with server.open() as url:
        await played(url, [a_request(), a_request("generation", at_s=0.05)])

    completion, chat = server.asked
    assert (completion["prompt"], completion["suffix"]) == ("def f(", "\n")
    assert chat["messages"] == [{"role": "user", "content": "def f("}]
    assert completion["max_tokens"] == 3
    assert completion["ignore_eos"] is True
    assert server.headers[0]["x-cato-session"] == "editor-1"
    assert "x-cato-task" not in server.headers[0]


async def test_a_client_that_no_longer_wants_it_hangs_up() -> None:
    server = TinyServer(first_s=2.0)

    async with server.open() as url:
        (seen,) = (await played(url, [a_request(cancel_at_s=0.1)])).observations

    assert (seen.ending, seen.ttft_s, seen.is_kept()) == (Ending.CANCELLED, None, False)
    assert server.hung_up["/v1/completions"] == 1


async def test_a_superseded_request_stays_connected_until_it_is_told() -> None:
    server = TinyServer(status=409, code="superseded", first_s=0.1)

    async with server.open() as url:
        request = a_request(cancel_at_s=0.01, superseded=True)
        (seen,) = (await played(url, [request])).observations

    assert seen.ending is Ending.SUPERSEDED
    assert not server.hung_up


@pytest.mark.parametrize(
    ("status", "code", "ending", "error"),
    [
        (429, "overloaded", Ending.SHED, None),
        (408, "deadline_exceeded", Ending.EXPIRED, None),
        (500, "engine_failed", Ending.ERROR, "500 engine_failed"),
    ],
)
async def test_a_refusal_is_told_by_its_status(
    status: int, code: str, ending: Ending, error: str | None
) -> None:
    server = TinyServer(status=status, code=code)

    async with server.open() as url:
        (seen,) = (await played(url, [a_request()])).observations

    assert (seen.ending, seen.error) == (ending, error)


async def test_an_answer_that_breaks_off_is_not_an_answer() -> None:
    server = TinyServer(breaks_with="engine_failed")

    async with server.open() as url:
        (seen,) = (await played(url, [a_request()])).observations

    assert (seen.ending, seen.error, seen.is_kept()) == (Ending.ERROR, "engine_failed", False)


@pytest.mark.parametrize("route", [None, "/v1/tasks"])
async def test_an_answer_that_is_cut_off_in_good_order_is_not_an_answer(
    route: Route | None,
) -> None:
    server = TinyServer(is_cut_off=True)

    async with server.open() as url:
        (seen,) = (await played(url, [a_request("summarization", route=route)])).observations

    assert (seen.ending, seen.error, seen.is_kept()) == (Ending.ERROR, "cut off", False)


async def test_a_task_accepted_in_unreadable_words_costs_that_task_and_not_the_run() -> None:
    server = TinyServer(accepts_with="{}")

    async with server.open() as url:
        requests = [a_request("summarization", route="/v1/tasks"), a_request()]
        lost, answered = (await played(url, requests)).observations

    assert (lost.ending, answered.ending) == (Ending.ERROR, Ending.ANSWERED)


async def test_a_house_that_hears_no_farewell_does_not_hold_the_run_up() -> None:
    server = TinyServer(first_s=60.0, hears_farewells=False)

    async with server.open() as url, asyncio.timeout(30):
        request = a_request("summarization", route="/v1/tasks", cancel_at_s=1.0)
        (seen,) = (await played(url, [request])).observations

    assert seen.ending is Ending.CANCELLED
    assert server.hung_up["deleted"] == 1


async def test_a_task_is_followed_until_it_ends() -> None:
    server = TinyServer()

    async with server.open() as url:
        request = a_request("summarization", route="/v1/tasks")
        (seen,) = (await played(url, [request])).observations

    assert (seen.ending, seen.output_tokens) == (Ending.ANSWERED, 3)
    assert server.asked[0]["kind"] == "summarization"


async def test_leaving_a_task_is_said() -> None:
    server = TinyServer(first_s=10.0)

    async with server.open() as url:
        # Time enough to be accepted first.
        request = a_request("summarization", route="/v1/tasks", cancel_at_s=1.0)
        (seen,) = (await played(url, [request])).observations

    assert seen.ending is Ending.CANCELLED
    assert server.hung_up["deleted"] == 1


async def test_the_server_names_its_models() -> None:
    async with TinyServer().open() as url, Client.open(url) as client:
        assert await client.models() == ("tiny",)


async def test_a_server_that_wants_a_key_is_told_apart_from_none() -> None:
    async with TinyServer(status=401).open() as url, Client.open(url) as client:
        with pytest.raises(ServerRefused, match="--api-key-file"):
            await client.models()


async def test_nobody_at_the_address_is_said_in_one_line() -> None:
    async with Client.open("http://127.0.0.1:1") as client:
        with pytest.raises(ServerUnreachable, match="cannot be reached"):
            await client.models()


async def test_a_run_from_the_command_line_leaves_its_reports(tmp_path: Path) -> None:
    async with TinyServer().open() as url:
        options = ("--url", url, "--rate", "40", "--seconds", "1", "--mix", "editor")
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "loadgen", "run", *options, "--out", str(tmp_path)),
            stdout=asyncio.subprocess.PIPE,
        )
        told, _ = await child.communicate()

    (run,) = read_runs(tmp_path / "report.json")
    assert child.returncode == 0
    assert b"kept their whole promise" in told
    assert run.figures.total.answered > 0
    assert (tmp_path / "report.html").stat().st_size > 10_000


async def test_a_run_at_nobody_ends_with_one_line() -> None:
    url = "http://127.0.0.1:1"

    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadgen", "run", "--url", url, "--rate", "9", "--seconds", "1"),
        stderr=asyncio.subprocess.PIPE,
    )
    _, told = await child.communicate()

    assert child.returncode == 2
    assert told.decode().count("\n") == 1
    assert "nothing listens there" in told.decode()
