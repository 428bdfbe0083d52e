"""Good, slow, strange and broken servers: each is served by, or told of, in its own terms."""

import asyncio
import json
import socket
import ssl
import tomllib
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from services.worker.engine import EngineRefused, EngineUnavailable
from shared.adapters.clock import SystemClock
from shared.domain.errors import SettingsError
from shared.domain.task import Promise
from shared.tasks.fim import fim_template_for
from tests.contract.engine_promises import a_job, pieces_of, text_of, until_idle
from tests.eventually import eventually
from tests.integration.peers import a_chunk, a_peer, an_engine, begin, say

DATA = Path(__file__).parents[1] / "data"
SHAPES = {path.stem: tomllib.loads(path.read_text()) for path in (DATA / "servers").glob("*.toml")}
CERTIFICATE = DATA / "tls" / "certificate.pem"


@pytest.mark.parametrize("name", sorted(SHAPES))
async def test_every_kind_of_server_fills_in_the_middle_without_being_told_how(name: str) -> None:
    shape = SHAPES[name]
    asked: list[dict[str, object]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        payload = await request.json()
        asked.append(payload)
        if "suffix" in payload and "refusal" in shape:
            refusal = shape["refusal"]
            return web.Response(status=refusal["status"], text=refusal["body"])
        response = await begin(request)
        await response.write(shape["completion"].encode())
        return response

    peer = a_peer(answer, models=shape["models"], metrics=shape.get("metrics"))
    async with peer as url, an_engine(url, is_warmed_up=True) as engine:
        warm_ups = len(asked)
        pieces = await pieces_of(engine, a_job(prompt="before", suffix="after"))
        load = engine.load()

    model = shape["expected"]["model"]
    assert text_of(pieces) == " return a"
    assert len(asked) == warm_ups + 1
    assert asked[-1]["model"] == model
    assert asked[-1]["prompt"] == fim_template_for(model).render("before", "after")
    assert load.running == shape["expected"].get("running", 0) + shape["expected"].get("waiting", 0)


async def test_priority_and_what_is_left_of_the_promise_are_passed_on() -> None:
    seen: list[web.Request] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append(request)
        assert (await request.json())["priority"] == 7
        return await say(request, a_chunk("a", "stop"), "[DONE]")

    job = replace(
        a_job(priority=7),
        promise=Promise(ttft_s=0.3, tpot_s=0.05),
        received_at=SystemClock().now(),
    )
    async with a_peer(answer) as url, an_engine(url) as engine:
        await pieces_of(engine, job)

    assert 0 < int(seen[0].headers["x-slo-ttft-ms"]) <= 300
    assert seen[0].headers["x-slo-tpot-ms"] == "50"


async def test_one_connection_serves_one_job_after_the_other() -> None:
    ports: list[object] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        ports.append(request.transport.get_extra_info("peername"))
        return await say(request, a_chunk("a", "stop"), "[DONE]")

    async with a_peer(answer) as url, an_engine(url) as engine:
        for number in range(3):
            await pieces_of(engine, a_job(f"task-{number}@0.1"))

    assert len(ports) == 3
    assert len(set(ports)) == 1


async def test_a_busy_server_is_asked_three_times_and_no_more() -> None:
    asked: list[int] = []

    async def answer(_: web.Request) -> web.StreamResponse:
        asked.append(1)
        return web.Response(status=503, text="busy")

    async with a_peer(answer) as url, an_engine(url) as engine:
        with pytest.raises(EngineUnavailable, match="503: busy"):
            await pieces_of(engine, a_job())

    assert len(asked) == 3


async def test_a_job_can_be_aborted_while_it_waits_to_be_asked_again() -> None:
    asked = asyncio.Event()

    async def answer(_: web.Request) -> web.StreamResponse:
        asked.set()
        return web.Response(status=503, text="busy")

    async with a_peer(answer) as url, an_engine(url) as engine:
        reading = asyncio.create_task(pieces_of(engine, a_job()))
        await asked.wait()
        aborting = asyncio.create_task(engine.abort(a_job().id))
        await eventually(reading.done, within_s=0.1, saying="it has left")
        await aborting

        assert await reading == []


async def test_a_server_that_only_keeps_the_connection_alive_is_silent() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = await say(request, a_chunk("a"))
        while True:
            await response.write(b": still here\n\n")
            await asyncio.sleep(0.02)

    async with a_peer(answer) as url, an_engine(url, silence_s=1.0) as engine:
        with pytest.raises(EngineUnavailable, match=r"middle of an answer.*CATO_ENGINE_SILENCE_S"):
            await pieces_of(engine, a_job())


async def test_a_silent_answer_is_given_up_alone() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if (await request.json())["prompt"] == "silent":
            await asyncio.Event().wait()
        response = await say(request, a_chunk("a"))
        for _ in range(8):
            await asyncio.sleep(0.3)
            await response.write(f"data: {json.dumps(a_chunk('b'))}\n\n".encode())
        await response.write(
            f"data: {json.dumps(a_chunk('c', 'stop'))}\n\ndata: [DONE]\n\n".encode()
        )
        return response

    async with a_peer(answer) as url, an_engine(url, silence_s=2.0) as engine:
        silent, other = await asyncio.gather(
            pieces_of(engine, a_job("task-1@0.1", prompt="silent")),
            pieces_of(engine, a_job("task-2@0.1")),
            return_exceptions=True,
        )
        await until_idle(engine)

    assert isinstance(silent, EngineUnavailable)
    assert "2 s before its first token, the limit of CATO_ENGINE_FIRST_BYTE_S" in str(silent)
    assert not isinstance(other, BaseException)
    assert text_of(other) == "abbbbbbbbc"


async def test_what_is_no_stream_is_told_with_the_address_to_look_at() -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>please log in</html>", content_type="text/html")

    async with a_peer(answer) as url, an_engine(url) as engine:
        with pytest.raises(EngineUnavailable, match=r"text/html.*CATO_ENGINE_URL.*/v1"):
            await pieces_of(engine, a_job())


async def test_a_server_that_takes_no_connection_is_told_with_the_limit() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/v1"

        with pytest.raises(EngineUnavailable, match=r"within 0.2 s, the limit of CATO_ENGINE_CONN"):
            async with an_engine(url, start_s=0.0, connect_s=0.2):
                pass
        for each in waiting:
            each.close()


async def test_a_certificate_that_is_not_trusted_is_a_matter_of_settings() -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(CERTIFICATE, CERTIFICATE.with_name("key.pem"))

    async with a_peer(_answer, tls=tls) as url:
        with pytest.raises(SettingsError, match=r"is not trusted.*CATO_ENGINE_CA_FILE"):
            async with an_engine(url):
                pass
        async with an_engine(url, ca_file=CERTIFICATE) as engine:
            assert text_of(await pieces_of(engine, a_job())) == "a"


async def test_https_to_a_server_that_speaks_http_is_told_as_that() -> None:
    async with a_peer(_answer) as url:
        with pytest.raises(EngineUnavailable, match=r"no TLS with .*http://"):
            async with an_engine(url.replace("http://", "https://"), start_s=0.0):
                pass


async def test_a_file_without_certificates_is_named() -> None:
    with pytest.raises(SettingsError, match=r"CATO_ENGINE_CA_FILE: .*peers\.py"):
        async with an_engine(
            "https://127.0.0.1:9/v1", ca_file=Path(__file__).with_name("peers.py")
        ):
            pass


async def test_a_wrong_key_is_told_at_the_start() -> None:
    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": "Unauthorized"}}, status=401)

    async with a_peer(refuse) as url:
        with pytest.raises(SettingsError, match=r"401: Unauthorized.*CATO_ENGINE_API_KEY"):
            async with an_engine(url, is_warmed_up=True):
                pass


async def test_an_engine_is_ready_when_a_first_question_was_answered() -> None:
    statuses = iter((503, 503, 503, 503, 200))

    async def answer(request: web.Request) -> web.StreamResponse:
        if (status := next(statuses)) != 200:
            return web.Response(status=status, text="loading")
        return await say(request, a_chunk("a", "stop"), "[DONE]")

    async with a_peer(answer) as url, an_engine(url, is_warmed_up=True) as engine:
        assert next(statuses, None) is None
        assert engine.load().step_s == 0.0


async def test_a_server_that_refuses_a_first_question_is_told_with_its_words() -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": "no such model"}}, status=404)

    async with a_peer(answer) as url:
        with pytest.raises(SettingsError, match=r"'cato-demo': .*no such model.*CATO_ENGINE_MODEL"):
            async with an_engine(url, is_warmed_up=True):
                pass


async def test_a_server_that_only_chats_is_warmed_up_by_a_chat() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if not request.path.endswith("/chat/completions"):
            return web.Response(status=404, text="not found")
        chunk = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]}
        return await say(request, chunk, "[DONE]")

    async with a_peer(answer) as url, an_engine(url, is_warmed_up=True) as engine:
        assert text_of(await pieces_of(engine, a_job(is_chat=True))) == "a"
        with pytest.raises(EngineRefused, match="404"):
            await pieces_of(engine, a_job())


async def test_an_idle_server_that_is_gone_is_noticed() -> None:
    async with AsyncExitStack() as engines:
        async with a_peer(_answer) as url:
            engine = await engines.enter_async_context(an_engine(url))
            assert engine.death() is None

        await eventually(lambda: engine.death() is not None, within_s=8, saying="it is noticed")

        assert "without an answer" in str(engine.death())


async def _answer(request: web.Request) -> web.StreamResponse:
    return await say(request, a_chunk("a", "stop"), "[DONE]")
