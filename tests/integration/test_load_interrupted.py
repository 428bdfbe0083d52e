"""Whoever ends a load wants the machine back: no child goes on, and none prints a stack trace."""

import os
import signal
import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE
from collections.abc import Callable

import psutil
import pytest

from tests.eventually import eventually
from tests.processes import is_alive

# Long enough that only a signal ends it.
LOAD = ("-m", "loadgen", "ablation", "--loads", "1", "--duration", "3600", "--processes", "2")
_WITHIN_S = 120.0


@pytest.mark.parametrize(
    ("number", "tell", "status"), [(signal.SIGINT, os.killpg, 130), (signal.SIGTERM, os.kill, 143)]
)
async def test_a_load_that_is_ended_takes_its_children_along_without_a_stack_trace(
    number: signal.Signals, tell: Callable[[int, int], None], status: int
) -> None:
    load = await create_subprocess_exec(
        sys.executable, *LOAD, stdout=PIPE, stderr=PIPE, start_new_session=True
    )
    told = psutil.Process(load.pid)
    # Two that play, and the one that cleans up behind them.
    await eventually(
        lambda: len(told.children()) == 3, within_s=_WITHIN_S, saying="the children are started"
    )
    children = told.children()

    # A terminal tells all of them, a supervisor only the one that it started.
    tell(load.pid, number)
    out, said = await load.communicate()

    assert load.returncode == status
    assert b"Traceback" not in out + said
    await eventually(
        lambda: not any(is_alive(child.pid) for child in children), saying="every child has ended"
    )
