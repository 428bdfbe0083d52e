"""A process runs until a signal ends it, its settings forbid it, or something in it breaks."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, NoReturn

import uvloop

from shared.domain.errors import CatoError, SettingsError
from shared.runtime.garbage import collect_seldom
from shared.runtime.logs import configure_logs
from shared.runtime.settings import LogSettings

log = logging.getLogger(__name__)

CRASHED: Final = 1
CANNOT_START: Final = 2
_BY_SIGNAL: Final = 128


def run_service(main: Callable[[], Awaitable[None]]) -> NoReturn:
    """Run `main` on uvloop and exit.

    The first SIGTERM or SIGINT cancels `main`, which may take its time to finish its work; the
    second one exits at once. Exit codes: 0 after a signal or a return, 2 when the settings forbid
    to start, 1 when something broke, which is logged once.
    """
    sys.exit(_run(main))


def _run(main: Callable[[], Awaitable[None]]) -> int:
    try:
        settings = LogSettings.load()
        configure_logs(level=settings.log_level, form=settings.log_format)
        collect_seldom()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_signalled(main))
    except Exception as error:  # noqa: BLE001  # the last place that can tell of it
        return _tell(error)
    return 0


async def _until_signalled(main: Callable[[], Awaitable[None]]) -> None:
    task = asyncio.ensure_future(_as_coroutine(main))
    stopped = Stopping(task)
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stopped.by, signum)
    try:
        await task
    except asyncio.CancelledError:
        if not stopped.is_asked:
            raise


class Stopping:
    """The first signal asks, the second one ends."""

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task
        self.is_asked = False

    def by(self, signum: signal.Signals) -> None:
        if self.is_asked:
            os._exit(_BY_SIGNAL + signum)
        self.is_asked = True
        log.info("stopping", extra={"signal": signum.name})
        self._task.cancel()


async def _as_coroutine(main: Callable[[], Awaitable[None]]) -> None:
    await main()


def _tell(error: Exception) -> int:
    """One readable line for what was foreseen, one record with a traceback for what was not."""
    causes = tuple(root_causes(error))
    if all(isinstance(cause, SettingsError) for cause in causes):
        for cause in causes:
            sys.stderr.write(f"cato: cannot start: {cause}\n")
        return CANNOT_START
    if all(isinstance(cause, CatoError | OSError) for cause in causes):
        log.critical("stopped by what it depends on", extra={"causes": _in_one_line(causes)})
        return CRASHED
    log.critical("crashed", extra={"causes": _in_one_line(causes)}, exc_info=error)
    return CRASHED


def root_causes(error: BaseException) -> Iterator[BaseException]:
    """What actually happened, out of the groups that task groups wrap around it."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from root_causes(inner)
    else:
        yield error


def _in_one_line(causes: tuple[BaseException, ...]) -> str:
    lines = (" ".join(f"{type(cause).__name__}: {cause}".split()) for cause in causes)
    return "; ".join(dict.fromkeys(lines))
