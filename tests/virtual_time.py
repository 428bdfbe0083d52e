"""A story may last an hour and be told in a millisecond: when nothing is left to do, time jumps."""

import asyncio
import selectors
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import TypeVar, TypeVarTuple

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


class NothingWillHappen(RuntimeError):
    """Every task waits, no timer runs, and nobody outside exists who could end the waiting."""

    def __init__(self, waiting: tuple[str, ...]) -> None:
        self.waiting = waiting
        super().__init__(f"nothing will ever happen; waiting: {'; '.join(waiting)}")


class _JumpingSelector(selectors.SelectSelector):
    """Where a real loop would sleep until its next timer, the clock is set to it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            self.now += self._until_the_next_timer(timeout)
        return ready

    def _until_the_next_timer(self, timeout: float | None) -> float:
        if timeout is None:
            raise NothingWillHappen(tuple(sorted(map(repr, asyncio.all_tasks()))))
        return max(0.0, timeout)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop on which sleeping, limits and timers cost no time; it starts at second 0.

    What a thread would do is done at once, so that time cannot jump while it is under way.
    """

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*_Ts], _T], *args: *_Ts
    ) -> asyncio.Future[_T]:
        done: asyncio.Future[_T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever awaits the future
            done.set_exception(error)
        return done


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Imported by the conftest of a suite, this tells all its coroutines in virtual time."""
    return {"virtual time": VirtualTimeLoop}
