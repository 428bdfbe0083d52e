"""What a new user types, and what happens when it goes wrong."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.processes import is_alive

LOCAL = (sys.executable, "-m", "deploy.local")
# A house starts in five seconds, and in a minute where others keep the machine busy.
_WITHIN_S = 300.0
SERVICES = ("ingress", "classifier", "scheduler", "worker")


@contextmanager
def a_house(out: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """`up` on any port, once it has announced itself; it does not outlive the test."""
    announced = out / "announced.json"
    command = (*LOCAL, "up", "--port", "0", "--out", str(out), "--announce", str(announced))
    up = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        _until(announced.exists, saying="the house announces itself")
        yield up, json.loads(announced.read_text())
    finally:
        up.kill()
        up.communicate()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGHUP])
def test_ctrl_c_and_a_closed_terminal_end_every_process_of_the_house(
    tmp_path: Path, end: signal.Signals
) -> None:
    with a_house(tmp_path) as (up, facts):
        assert (tmp_path / "announced.json").stat().st_mode & 0o077 == 0, "it may hold a password"
        with urllib.request.urlopen(f"{facts['base_url']}/healthz", timeout=_WITHIN_S) as answer:
            assert answer.status == 200

        up.send_signal(end)
        status = up.wait(_WITHIN_S)

        assert status == 0
        assert [pid for pid in facts["pids"].values() if psutil.pid_exists(pid)] == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can promise it")
def test_a_house_that_is_killed_outright_leaves_no_process_behind(tmp_path: Path) -> None:
    with a_house(tmp_path) as (up, facts):
        up.kill()
        up.wait(_WITHIN_S)

        _until(
            lambda: not any(map(is_alive, facts["pids"].values())),
            saying="every process has ended",
        )


@pytest.mark.parametrize("part", ["redis", "worker-3"])
def test_a_house_that_loses_a_part_names_it_and_closes(tmp_path: Path, part: str) -> None:
    with a_house(tmp_path) as (up, facts):
        os.kill(facts["pids"][part], signal.SIGKILL)

        _, said = up.communicate(timeout=_WITHIN_S)

        assert up.returncode == 1
        assert f"{part} was ended by SIGKILL" in said
        assert "Traceback" not in said
        assert [pid for pid in facts["pids"].values() if psutil.pid_exists(pid)] == []


@pytest.mark.usefixtures("ctrl_c_is_heard")
def test_ctrl_c_before_anything_runs_is_taken_without_a_word(tmp_path: Path) -> None:
    at_once = "import signal; signal.raise_signal(signal.SIGINT)"
    (tmp_path / "aiohttp.py").write_text(at_once)

    up = _run(*LOCAL, "up", "--out", str(tmp_path), env={"PYTHONPATH": str(tmp_path)})

    assert up.returncode == -signal.SIGINT
    assert up.stderr == ""


def test_an_engine_that_does_not_answer_is_named_before_anything_starts(tmp_path: Path) -> None:
    url = "http://127.0.0.1:1/v1"

    up = _run(*LOCAL, "up", "--port", "0", "--engine-url", url, "--out", str(tmp_path))

    assert up.returncode == 1
    assert f"no engine answers at {url}/models" in up.stderr
    assert "--engine-url" in up.stderr
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    ("option", "address"), [("--kafka", "127.0.0.1:1"), ("--redis", "redis://127.0.0.1:1/0")]
)
def test_a_store_that_does_not_answer_is_named_together_with_the_option_that_names_it(
    tmp_path: Path, option: str, address: str
) -> None:
    up = _run(*LOCAL, "up", "--port", "0", option, address, "--out", str(tmp_path))

    assert up.returncode == 1
    assert f"start it first, or correct {option}" in up.stderr
    assert "Traceback" not in up.stderr
    assert not (tmp_path / "logs").exists()


def test_a_port_in_use_is_named_together_with_the_option_that_changes_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]

        up = _run(*LOCAL, "up", "--port", str(port), "--out", str(tmp_path))

    assert up.returncode == 1
    assert f"port {port} is in use" in up.stderr
    assert "--port" in up.stderr
    assert "Traceback" not in up.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_without_its_settings_refuses_to_start_and_names_the_variable(
    service: str,
) -> None:
    started = _run(sys.executable, "-m", f"services.{service}", env={"CATO_KAFKA_SERVERS": ""})

    assert started.returncode == 2
    assert "CATO_KAFKA_SERVERS" in started.stderr
    assert "Traceback" not in started.stderr


def test_an_engine_that_cannot_be_is_refused_by_name(tmp_path: Path) -> None:
    up = _run(*LOCAL, "up", "--port", "0", "--engine", "abacus", "--out", str(tmp_path))

    assert up.returncode == 1
    assert "CATO_ENGINE" in up.stderr
    assert "simulated" in up.stderr


def test_the_demo_shows_what_was_kept_and_leaves_nothing_running(tmp_path: Path) -> None:
    mark = {"HOUSE_OF_THIS_TEST": str(tmp_path)}

    demo = _run(*LOCAL, "demo", "--port", "0", "--seconds", "5", "--out", str(tmp_path), env=mark)

    assert demo.returncode == 0, demo.stderr
    assert "completion" in demo.stdout
    assert (tmp_path / "report.html").exists()
    report = json.loads((tmp_path / "report.json").read_text())
    assert report
    assert [process.cmdline() for process in psutil.process_iter() if _has(process, mark)] == []


def _run(*command: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=_WITHIN_S,
        check=False,
    )


def _has(process: psutil.Process, mark: Mapping[str, str]) -> bool:
    """Children inherit the environment, and no other house on this machine has this one."""
    try:
        return mark.items() <= process.environ().items()
    except psutil.Error:
        return False


def _until(is_so: Callable[[], bool], *, saying: str) -> None:
    limit_at = time.monotonic() + _WITHIN_S
    while not is_so():
        assert time.monotonic() < limit_at, f"not within {_WITHIN_S:g} s: {saying}"
        time.sleep(0.02)
