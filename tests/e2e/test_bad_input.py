"""Whatever is thrown at a running house, it says what was wrong and goes on."""

import asyncio
import json
from collections.abc import AsyncIterator
from io import BytesIO
from urllib.parse import urlsplit

import aiohttp
import pytest

from deploy.local.house import House
from tests.eventually import WITHIN_S

pytestmark = pytest.mark.asyncio(loop_scope="session")

MALFORMED = {
    "not json": b"{",
    "not an object": b"[]",
    "empty": b"",
    "lone surrogate": b'{"prompt": "\\ud800"}',
    "not utf-8": b'{"prompt": "\xff"}',
    "nan": b'{"prompt": "x", "temperature": NaN}',
    "deep": b'{"prompt": "x", "tools":' + b"[" * 20_000 + b"}",
    "wrong type": b'{"prompt": 5}',
    "negative": b'{"prompt": "x", "max_tokens": -1}',
    "absurd": b'{"prompt": "x", "max_tokens": 1e300}',
    "empty prompt": b'{"prompt": ""}',
    "not implemented": b'{"prompt": "x", "n": 3}',
}
ROUTES = ("/v1/completions", "/v1/chat/completions", "/v1/tasks")


async def still_serves(house: House) -> bool:
    async with aiohttp.ClientSession(house.base_url) as http:
        body = {"prompt": "def f():", "max_tokens": 4}
        patient = {"x-slo-ttft-ms": "10000"}
        async with http.post("/v1/completions", json=body, headers=patient) as answer:
            return answer.status == 200


@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.parametrize("route", ROUTES)
async def test_a_malformed_body_is_a_clear_refusal(house: House, name: str, route: str) -> None:
    async with (
        aiohttp.ClientSession(house.base_url) as http,
        http.post(route, data=MALFORMED[name]) as answer,
    ):
        told = await answer.json()

    assert answer.status == 400
    assert set(told["error"]) == {"message", "type", "param", "code"}
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("GET", "/v1/completions", 405), ("GET", "/v1/tasks/none", 404)],
)
async def test_a_wrong_turn_is_told_in_the_shape_of_the_api(
    house: House, method: str, path: str, status: int
) -> None:
    async with (
        aiohttp.ClientSession(house.base_url) as http,
        http.request(method, path) as answer,
    ):
        told = await answer.json()

    assert answer.status == status
    assert told["error"]["message"]


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_that_is_too_large_is_refused(house: House, is_chunked: bool) -> None:
    raw = json.dumps({"prompt": "x" * 3_000_000}).encode()

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(raw), 65_536):
            yield raw[start : start + 65_536]

    async with aiohttp.ClientSession(house.base_url) as http:
        data = chunks() if is_chunked else BytesIO(raw)
        async with http.post("/v1/completions", data=data) as answer:
            assert answer.status == 413


@pytest.mark.parametrize("character", ["\x01", "é", "\U0001f600", "x"])
async def test_a_prompt_of_256_kib_is_understood(house: House, character: str) -> None:
    prompt = character * (256 * 1024 // len(character.encode()))
    body = BytesIO(json.dumps({"prompt": prompt, "max_tokens": 2}).encode())

    async with aiohttp.ClientSession(house.base_url) as http:
        headers = {"x-cato-task": "batch"}
        async with http.post("/v1/completions", data=body, headers=headers) as answer:
            told = await answer.text()

    # The engine's own context may be shorter; then it says so.
    assert answer.status in (200, 400, 502), told
    assert await still_serves(house)


async def test_clients_that_vanish_at_any_point_stop_nothing(house: House) -> None:
    body = json.dumps({"prompt": "def f():", "max_tokens": 200, "stream": True}).encode()
    head = b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
    request = head + body

    for sent in (request[:10], head, request[:-5], request):
        address = urlsplit(house.base_url)
        _, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(sent)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.transport.abort()

    assert await still_serves(house)


async def test_a_client_that_never_reads_does_not_hold_the_house_up(house: House) -> None:
    body = json.dumps({"prompt": "def f():", "max_tokens": 2000, "stream": True}).encode()
    address = urlsplit(house.base_url)
    _, writer = await asyncio.open_connection(address.hostname, address.port, limit=1)
    writer.write(
        b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    )

    assert await still_serves(house)
    writer.transport.abort()


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\xff\x16\x03\x01 hello\r\n\r\n",
        b"POST /v1/completions HTTP/1.1\r\ncontent-length: -5\r\n\r\n",
        b"POST /v1/completions HTTP/1.1\r\nx: " + b"y" * 66_000,
    ],
    ids=["no http", "negative length", "endless header"],
)
async def test_what_is_no_request_is_refused_in_the_shape_of_the_api(
    house: House, sent: bytes
) -> None:
    address = urlsplit(house.base_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)

    writer.write(sent)
    head, _, told = (await asyncio.wait_for(reader.read(), WITHIN_S)).partition(b"\r\n\r\n")
    writer.close()

    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"x-request-id: " in head
    assert set(json.loads(told)["error"]) == {"message", "type", "param", "code"}
    assert await still_serves(house)
