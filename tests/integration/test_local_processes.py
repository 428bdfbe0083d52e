"""Processes of a laptop's house start in order, explain their deaths, and never outlive it."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from deploy.local.errors import ChildDied, NotReady, PortTaken
from deploy.local.ports import LOOPBACK, chosen_port
from deploy.local.processes import Child, Household, Probe, answers, first_to_end
from tests.eventually import eventually
from tests.processes import is_alive

_TALKER = (sys.executable, "-c", "print('the fuse is blown'); raise SystemExit(3)")
_SLEEPER = (sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()")
_STUBBORN = (
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    " print('up', flush=True); signal.pause()",
)
_PARENT = """
import os, signal, sys
from pathlib import Path
from deploy.local.processes import Child
child = Child.start("orphan", {argv!r}, log=Path(sys.argv[1]))
print(child.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def _said_up(log: Path) -> Probe:
    async def probe() -> bool:
        return "up" in log.read_text().splitlines()

    return probe


@pytest.fixture
def taken_port() -> Iterator[int]:
    with closing(socket.create_server((LOOPBACK, 0))) as holder:
        yield holder.getsockname()[1]


async def test_a_child_that_answers_over_http_is_ready(tmp_path: Path) -> None:
    port = chosen_port(0, setting="port")
    (tmp_path / "readyz").write_text("ready")
    server = (sys.executable, "-m", "http.server", str(port), "-b", LOOPBACK, "-d", str(tmp_path))
    ready = answers(f"http://{LOOPBACK}:{port}/readyz")

    async with Household.open(tmp_path / "logs", drain_s=2) as house:
        child = await house.start("server", server, env={}, probe=ready, within_s=10)
        answered = await ready()

    assert answered
    assert not child.is_running()
    assert not await ready()


async def test_a_child_that_dies_says_its_last_words(tmp_path: Path) -> None:
    async with Household.open(tmp_path, drain_s=1) as house:
        with pytest.raises(ChildDied, match="the fuse is blown") as died:
            await house.start(
                "fuse", _TALKER, env={}, probe=_said_up(Path("/dev/null")), within_s=5
            )

    assert died.value.status == 3


async def test_only_the_words_of_this_run_are_its_last_words(tmp_path: Path) -> None:
    log = tmp_path / "fuse.log"
    log.write_text("what an earlier run said\n")

    child = Child.start("fuse", _TALKER, log=log)
    await child.ended()
    child.kill()

    assert child.last_lines() == ("the fuse is blown",)


async def test_a_child_that_was_killed_is_told_by_the_signal(tmp_path: Path) -> None:
    child = Child.start("idler", _SLEEPER, log=tmp_path / "idler.log")

    child.kill()

    assert "idler was ended by SIGKILL" in str(child.death())


async def test_a_child_that_never_gets_ready_is_reported_with_its_log(tmp_path: Path) -> None:
    probe = _said_up(Path("/dev/null"))

    async with Household.open(tmp_path, drain_s=1) as house:
        with pytest.raises(NotReady, match=r"idler was not ready within 0\.2 s"):
            await house.start("idler", _SLEEPER, env={}, probe=probe, within_s=0.2)

    assert not any(child.is_running() for child in house.children)


async def test_a_child_that_ignores_the_request_to_end_is_ended(tmp_path: Path) -> None:
    up = _said_up(tmp_path / "stubborn.log")

    async with Household.open(tmp_path, drain_s=0.2) as house:
        child = await house.start("stubborn", _STUBBORN, env={}, probe=up, within_s=5)

    assert not psutil.pid_exists(child.pid)


async def test_children_end_in_the_reverse_of_the_order_in_which_they_started(
    tmp_path: Path,
) -> None:
    ending = "import signal,sys,time; signal.signal(signal.SIGTERM, lambda *_: sys.exit("
    writes = f"{ending}open(sys.argv[1], 'a').write(sys.argv[2]))); print('up', flush=True)"
    book = str(tmp_path / "book")

    async with Household.open(tmp_path, drain_s=5) as house:
        for name in "abc":
            argv = (sys.executable, "-c", f"{writes}; signal.pause()", book, name)
            up = _said_up(tmp_path / f"{name}.log")
            await house.start(name, argv, env={}, probe=up, within_s=5)

    assert Path(book).read_text() == "cba"


async def test_the_house_notices_which_of_its_children_ended(tmp_path: Path) -> None:
    async with Household.open(tmp_path, drain_s=1) as house:
        house.launch("idler", _SLEEPER, env={})
        fuse = house.launch("fuse", _TALKER, env={})

        ended = await first_to_end(house.children)

    assert ended is fuse


async def test_the_environment_of_a_child_is_ours_and_what_is_given(tmp_path: Path) -> None:
    says = "import os; print(os.environ['CATO_COLOUR'], 'PATH' in os.environ)"
    child = Child.start(
        "painter", (sys.executable, "-c", says), log=tmp_path / "log", env={"CATO_COLOUR": "blue"}
    )

    status = await child.ended()

    child.kill()
    assert (status, child.last_lines()) == (0, ("blue True",))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a process to its parent")
async def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    parent = await asyncio.to_thread(
        subprocess.run,
        (sys.executable, "-c", _PARENT.format(argv=_SLEEPER), str(tmp_path / "log")),
        capture_output=True,
        check=False,
        text=True,
    )

    orphan = int(parent.stdout)

    await eventually(lambda: not is_alive(orphan), within_s=5, saying="the orphan ends")


def test_a_port_in_use_names_the_setting_that_chooses_another(taken_port: int) -> None:
    with pytest.raises(PortTaken, match=rf"port {taken_port} is in use.*CATO_PORT"):
        chosen_port(taken_port, setting="CATO_PORT")


def test_a_free_port_that_was_asked_for_is_the_one_chosen() -> None:
    free = chosen_port(0, setting="port")

    assert chosen_port(free, setting="port") == free


def test_the_ports_of_a_house_that_is_being_started_are_all_different() -> None:
    chosen = [chosen_port(0, setting="port") for _ in range(1000)]

    assert len(set(chosen)) == 1000
