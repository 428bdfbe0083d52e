"""Containers come and go through Docker's own SDK, which here asks a stand-in of Docker's API."""

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio

from deploy.scaler.containers import ContainerWorkers
from deploy.scaler.settings import ScalerSettings
from shared.domain.errors import SettingsError, Unavailable
from tests.eventually import eventually

_LABELS = {"com.docker.compose.project": "cato", "com.docker.compose.service": "worker"}


@dataclass
class Host:
    """What an engine would hold, in the words of its API, version 1.47."""

    containers: dict[str, dict[str, object]] = field(default_factory=dict)
    stopped_after_s: list[str] = field(default_factory=list)
    url: str = ""

    def put(self, name: str, config: dict[str, object], status: str) -> str:
        identity = f"{len(self.containers):064x}"
        host_config = config.pop("HostConfig", {})
        networking = config.pop("NetworkingConfig", {})
        assert isinstance(networking, dict)
        self.containers[identity] = {
            "Id": identity,
            "Name": f"/{name}",
            "State": {"Status": status},
            "Config": config,
            "HostConfig": host_config,
            "NetworkSettings": {"Networks": networking.get("EndpointsConfig", {})},
        }
        return identity

    def running(self) -> list[str]:
        found = self.containers.values()
        return sorted(str(each["Name"]) for each in found if each["State"] == {"Status": "running"})

    def answer(self, verb: str, url: str, body: dict[str, object]) -> tuple[int, object]:
        parts = urlsplit(url)
        path, asked = re.sub(r"^/v[\d.]+", "", parts.path), parse_qs(parts.query)
        try:
            if verb == "GET":
                return 200, self._told(path.split("/")[1:], asked)
            return self._done(verb, path.split("/")[1:], asked, body)
        except KeyError as missing:
            return 404, {"message": f"No such container: {missing}"}

    def _told(self, path: list[str], asked: dict[str, list[str]]) -> object:
        match path:
            case ["version"]:
                return {"ApiVersion": "1.47", "MinAPIVersion": "1.24"}
            case ["containers", "json"]:
                return [{"Id": identity} for identity in self._listed(asked["filters"][0])]
            case _:
                return self.containers[path[1]]

    def _done(
        self, verb: str, path: list[str], asked: dict[str, list[str]], body: dict[str, object]
    ) -> tuple[int, object]:
        match verb, path:
            case "POST", ["containers", "create"]:
                return 201, {"Id": self.put(asked["name"][0], body, "created"), "Warnings": []}
            case "POST", ["containers", identity, "start"]:
                self.containers[identity]["State"] = {"Status": "running"}
            case "POST", ["containers", identity, "stop"]:
                self.containers[identity]["State"] = {"Status": "exited"}
                self.stopped_after_s += asked["t"]
            case _:
                del self.containers[path[1]]
        return 204, None

    def _listed(self, filters: str) -> Iterator[str]:
        wanted = json.loads(filters)
        for identity, each in tuple(self.containers.items()):
            config, state = each["Config"], each["State"]
            assert isinstance(config, dict) and isinstance(state, dict)
            labels = {f"{name}={value}" for name, value in config["Labels"].items()}
            is_in_state = state["Status"] in wanted.get("status", [state["Status"]])
            if labels >= set(wanted["label"]) and is_in_state:
                yield identity


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    host = Host()

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            status, answer = host.answer(self.command, self.path, body)
            content = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _handle

        def log_message(self, format: str, *args: object) -> None:
            """Silence: the test tells what matters."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_address[1]}")
        yield host
        server.shutdown()
        serving.join()


@pytest_asyncio.fixture
async def workers(host: Host) -> AsyncIterator[ContainerWorkers]:
    async with ContainerWorkers.connect(project="cato", service="worker", stop_s=30) as workers:
        yield workers


@pytest.fixture
def first(host: Host) -> str:
    config: dict[str, object] = {
        "Image": "cato:0.1.0",
        "Cmd": ["python", "-m", "services.worker"],
        "Env": ["CATO_MODEL=cato-demo"],
        "Hostname": "0123456789ab",
        "Labels": {**_LABELS, "com.docker.compose.container-number": "1"},
        "HostConfig": {"ReadonlyRootfs": True, "CapDrop": ["ALL"], "Memory": 536870912},
        "NetworkingConfig": {"EndpointsConfig": {"cato_default": {"IPAddress": "172.18.0.7"}}},
    }
    return host.put("cato-worker-1", config, "running")


async def test_another_worker_is_made_like_the_first(
    host: Host, workers: ContainerWorkers, first: str
) -> None:
    await workers.add()

    added = next(each for name, each in host.containers.items() if name != first)
    config = added["Config"]
    assert isinstance(config, dict)
    assert host.running() == ["/cato-worker-1", "/cato-worker-2"]
    assert added["HostConfig"] == host.containers[first]["HostConfig"]
    assert config["Cmd"] == ["python", "-m", "services.worker"]
    assert config["Labels"]["com.docker.compose.container-number"] == "2"
    assert "Hostname" not in config
    assert added["NetworkSettings"] == {"Networks": {"cato_default": {}}}
    assert await workers.count() == 2


async def test_the_newest_is_let_go_and_given_time_to_drain(
    host: Host, workers: ContainerWorkers, first: str
) -> None:
    await workers.add()

    await workers.drain()

    assert await workers.count() == 1
    await eventually(lambda: list(host.containers) == [first], within_s=5, saying="it is removed")
    assert host.stopped_after_s == ["30"]


async def test_one_that_goes_while_docker_is_asked_is_not_counted(
    host: Host, workers: ContainerWorkers, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await workers.add()
    newest = next(name for name in host.containers if name != first)
    looked, let_know = threading.Event(), threading.Event()

    def answer(verb: str, url: str, body: dict[str, object]) -> tuple[int, object]:
        if "/stop" in url:
            looked.wait(5)
        told = Host.answer(host, verb, url, body)
        if verb == "GET" and newest in url:
            looked.set()
            let_know.wait(5)
        return told

    await workers.drain()
    monkeypatch.setattr(host, "answer", answer)
    counting = asyncio.create_task(workers.count())
    await eventually(lambda: list(host.containers) == [first], within_s=5, saying="it is removed")
    assert await workers.count() == 1
    let_know.set()

    assert await counting == 1


async def test_a_last_one_that_ended_by_itself_meanwhile_needs_not_be_let_go(
    host: Host, workers: ContainerWorkers, first: str
) -> None:
    assert await workers.count() == 1
    host.containers[first]["State"] = {"Status": "exited"}

    await workers.drain()

    assert host.stopped_after_s == []


def refusing(monkeypatch: pytest.MonkeyPatch, host: Host, act: str) -> None:
    def answer(verb: str, url: str, body: dict[str, object]) -> tuple[int, object]:
        if act in url:
            return 500, {"message": "no room"}
        return Host.answer(host, verb, url, body)

    monkeypatch.setattr(host, "answer", answer)


async def test_a_worker_that_cannot_be_started_leaves_no_container_behind(
    host: Host, workers: ContainerWorkers, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing(monkeypatch, host, "/start")

    for _ in range(3):
        with pytest.raises(Unavailable, match="no room"):
            await workers.add()

    assert list(host.containers) == [first]


@pytest.mark.usefixtures("first")
async def test_a_worker_that_cannot_be_let_go_is_not_passed_over_in_silence(
    host: Host,
    workers: ContainerWorkers,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    refusing(monkeypatch, host, "/stop")

    await workers.drain()

    await eventually(lambda: "worker not let go" in caplog.messages, saying="it is told")


async def test_other_containers_of_the_host_are_none_of_its_business(
    host: Host, workers: ContainerWorkers, first: str
) -> None:
    host.put("database", {"Labels": {}}, "running")

    assert await workers.count() == 1


async def test_without_a_first_one_it_says_what_makes_it(workers: ContainerWorkers) -> None:
    with pytest.raises(Unavailable, match="docker compose up worker makes the first"):
        await workers.add()


async def test_a_host_without_docker_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")

    with pytest.raises(Unavailable, match="DOCKER_HOST names another") as told:
        async with ContainerWorkers.connect(project="cato", service="worker", stop_s=1):
            raise AssertionError("nobody answers there")

    assert "\n" not in str(told.value)


def test_bounds_that_contradict_each_other_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATO_KAFKA_SERVERS", "localhost:9092")
    monkeypatch.setenv("CATO_SCALE_LEAST", "3")
    monkeypatch.setenv("CATO_SCALE_MOST", "2")

    with pytest.raises(SettingsError, match="CATO_SCALE_MOST=2 is below CATO_SCALE_LEAST=3"):
        ScalerSettings.load()
