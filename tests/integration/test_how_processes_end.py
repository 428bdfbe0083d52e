"""A process ends in a way that its operator understands."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PREAMBLE = """
import asyncio, sys
from shared.domain.errors import SettingsError, Unavailable
from shared.runtime.run import run_service

async def wait():
    print("ready", flush=True)
    await asyncio.sleep(60)

async def drain():
    try:
        await wait()
    finally:
        print("draining", flush=True)
        await asyncio.sleep(float(sys.argv[1]))
        print("drained", flush=True)

async def crash(error):
    async with asyncio.TaskGroup() as group:
        group.create_task(wait())
        group.create_task(fail(error))

async def fail(error):
    raise error
"""


def a_process(main: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", f"{PREAMBLE}\nrun_service(lambda: {main})", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_lets_it_finish_its_work(signum: signal.Signals) -> None:
    with a_process("drain()", "0.05") as process:
        assert process.stdout and process.stdout.readline() == "ready\n"

        process.send_signal(signum)

        said, logged = process.communicate(timeout=20)
    assert process.returncode == 0
    assert said == "draining\ndrained\n"
    assert signum.name in logged


def test_the_second_signal_ends_it_at_once() -> None:
    with a_process("drain()", "60") as process:
        assert process.stdout and process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "draining\n"

        process.send_signal(signal.SIGTERM)

        said, _ = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
    assert said == ""


def test_wrong_settings_are_one_line_and_exit_code_2() -> None:
    with a_process("crash(SettingsError('CATO_X is not set'))") as process:
        _, logged = process.communicate(timeout=20)

    assert process.returncode == 2
    assert logged == "cato: cannot start: CATO_X is not set\n"


def test_a_crash_of_one_task_ends_the_process_and_is_logged_once() -> None:
    with a_process("crash(KeyError('heap'))") as process:
        _, logged = process.communicate(timeout=20)

    assert process.returncode == 1
    assert len(logged.splitlines()) == 1
    assert "KeyError: 'heap'" in logged
    assert "Traceback" in logged


def test_what_it_depends_on_is_told_without_a_traceback() -> None:
    with a_process("crash(Unavailable('Kafka at x:1 cannot be reached'))") as process:
        _, logged = process.communicate(timeout=20)

    assert process.returncode == 1
    assert "Kafka at x:1 cannot be reached" in logged
    assert "Traceback" not in logged
