"""The open loop against a small server over real sockets: what is seen, when, and how it ends."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from loadgen.drivers.asking import Manner, Request
from loadgen.drivers.client import Client
from loadgen.drivers.errors import ServerRefused, ServerUnreachable
from loadgen.drivers.open_loop import Played, play
from loadgen.drivers.progress import Tally
from loadgen.report.document import read_runs
from loadgen.report.observation import Ending
from loadgen.workloads.arrival import Arrival
from loadgen.workloads.corpus import Prompt
from loadgen.workloads.mixes import ROUTES, Route
from tests.builders import REFERENCE

_MANNER = Manner(model="tiny", alone=REFERENCE)


@dataclass(slots=True)
class TinyServer:
    """Answers `tokens` tokens `pace_s` apart, unless the model's answer is set to a failure.

    Nobody is answered before `answers_from` have asked.
    """

    tokens: int = 3
    pace_s: float = 0.0
    first_s: float = 0.0
    answers_from: int = 1
    status: int = 200
    code: str = "overloaded"
    breaks_with: str | None = None
    is_cut_off: bool = False
    accepts_with: str = '{"id": "task-1"}'
    hears_farewells: bool = True
    asked: list[dict[str, object]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    hung_up: Counter[str] = field(default_factory=Counter)
    enough: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        for route in ("/v1/completions", "/v1/chat/completions"):
            app.router.add_post(route, self._answer)
        app.router.add_post("/v1/tasks", self._accept)
        app.router.add_get("/v1/tasks/task-1/events", self._answer)
        app.router.add_delete("/v1/tasks/task-1", self._delete)
        runner = web.AppRunner(app, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "tiny"}]}, status=self.status)

    async def _accept(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        return web.json_response(text=self.accepts_with, status=202)

    async def _delete(self, _: web.Request) -> web.Response:
        self.hung_up["deleted"] += 1
        if not self.hears_farewells:
            await asyncio.Event().wait()
        return web.Response()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._stream(request)
        except (asyncio.CancelledError, ConnectionResetError):
            self.hung_up[request.path] += 1
            raise

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        if request.method == "POST":
            self.asked.append(await request.json())
        if len(self.asked) >= self.answers_from:
            self.enough.set()
        await self.enough.wait()
        await asyncio.sleep(self.first_s)
        if self.status != 200:
            return web.json_response({"error": {"code": self.code}}, status=self.status)
        headers = {"x-cato-task": "chat", "x-cato-queue-ms": "12.5", "x-cato-worker": "w/1"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        for _ in range(self.tokens):
            await response.write(b': keep-alive\n\ndata: {"choices":[{"text":"x"}]}\n\n')
            await asyncio.sleep(self.pace_s)
        if self.breaks_with:
            error = json.dumps({"error": {"code": self.breaks_with}})
            await response.write(f"data: {error}\n\n".encode())
        if self.is_cut_off:
            return response
        await response.write(b'data: {"choices":[],"usage":{"completion_tokens":3}}\n\n')
        await response.write(b"data: [DONE]\n\n")
        return response


def a_request(
    kind: str = "completion",
    *,
    at_s: float = 0.0,
    cancel_at_s: float | None = None,
    superseded: bool = False,
    route: Route | None = None,
    manner: Manner = _MANNER,
) -> Request:
    arrival = Arrival(
        at_s=at_s,
        kind=kind,
        route=route or ROUTES[kind],
        prompt_tokens=10,
        output_tokens=3,
        tenant="tenant-1",
        cut=1,
        seed=1,
        session="editor-1",
        cancel_at_s=cancel_at_s,
        superseded=superseded,
    )
    return manner.ask(arrival, Prompt(text="def f(", suffix="\n"))


async def played(url: str, requests: Sequence[Request]) -> Played:
    async with Client.open(url) as client:
        return await play(client, requests, Tally(total=len(requests)))


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
