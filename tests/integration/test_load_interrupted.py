"""Whoever ends a load wants the machine back: no child goes on, and none prints a stack trace."""

import os
import signal
import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence

import psutil
import pytest

from tests.eventually import eventually
from tests.processes import is_alive

# Long enough that only a signal ends it.
# Two that play, and the one that cleans up behind them.
LOAD = ("-m", "loadgen", "ablation", "--loads", "1", "--duration", "3600", "--processes", "2")
# Redis.
BENCH = ("-m", "loadgen", "bench", "scheduler")
_WITHIN_S = 120.0


@pytest.mark.usefixtures("ctrl_c_is_heard")
@pytest.mark.parametrize(
    ("number", "tell", "status"), [(signal.SIGINT, os.killpg, 130), (signal.SIGTERM, os.kill, 143)]
)
async def test_a_load_that_is_ended_takes_its_children_along_without_a_stack_trace(
    number: signal.Signals, tell: Callable[[int, int], None], status: int
) -> None:
    load, children = await _started(*LOAD, children=3)

    # A terminal tells all of them, a supervisor only the one that it started.
    tell(load.pid, number)
    out, said = await load.communicate()

    assert load.returncode == status
    assert b"Traceback" not in out + said
    await eventually(
        lambda: not any(is_alive(child.pid) for child in children), saying="every child has ended"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can promise it of any program")
@pytest.mark.parametrize(("arguments", "count"), [(LOAD, 3), (BENCH, 1)])
async def test_a_load_that_is_killed_outright_leaves_no_child_behind(
    arguments: Sequence[str], count: int
) -> None:
    load, children = await _started(*arguments, children=count)

    load.kill()
    await load.wait()

    await eventually(
        lambda: not any(is_alive(child.pid) for child in children), saying="every child has ended"
    )


async def _started(*arguments: str, children: int) -> tuple[Process, list[psutil.Process]]:
    load = await create_subprocess_exec(
        sys.executable, *arguments, stdout=PIPE, stderr=PIPE, start_new_session=True
    )
    told = psutil.Process(load.pid)
    await eventually(
        lambda: len(told.children()) == children,
        within_s=_WITHIN_S,
        saying="the children are started",
    )
    return load, told.children()
