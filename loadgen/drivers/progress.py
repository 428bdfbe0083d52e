"""Whoever waits wants to see that it goes on: a bar on a terminal, else now and then a line."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

_LINE_EVERY_S: Final = 10.0
_LOOK_EVERY_S: Final = 0.25


@dataclass(slots=True, kw_only=True)
class Tally:
    """How far a run has come."""

    total: int
    sent: int = 0
    on_time: int = 0
    ended: int = 0

    def sentence(self) -> str:
        kept = f"{self.on_time / self.ended:.0%}" if self.ended else "–"
        return f"{self.sent}/{self.total} sent, {self.ended} ended, {self.on_time} on time ({kept})"


class _Shows(Protocol):
    async def show(self, tally: Tally) -> None: ...


@contextlib.asynccontextmanager
async def shown(tally: Tally, console: Console) -> AsyncIterator[None]:
    """Shows the tally for as long as the block lasts."""
    showing: _Shows = _Bar(console) if console.is_terminal else _Lines(console)
    task = asyncio.create_task(showing.show(tally))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class _Bar:
    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            BarColumn(bar_width=30),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=console,
            auto_refresh=False,
        )

    async def show(self, tally: Tally) -> None:
        with self._progress as progress:
            bar = progress.add_task(tally.sentence(), total=tally.total)
            try:
                while True:
                    progress.update(bar, completed=tally.ended, description=tally.sentence())
                    progress.refresh()
                    await asyncio.sleep(_LOOK_EVERY_S)
            finally:
                progress.update(bar, completed=tally.ended, description=tally.sentence())


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console

    async def show(self, tally: Tally) -> None:
        while True:
            await asyncio.sleep(_LINE_EVERY_S)
            self._console.print(tally.sentence(), highlight=False)
