"""Plays know nothing of each other: as many at once as there are processes."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def as_done(play: Callable[[T], R], stage: Iterable[T], *, processes: int) -> Iterator[R]:
    """What each play gives, as they are done; whoever asks no further cancels the rest."""
    if processes == 1:
        yield from map(play, stage)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        running = [pool.submit(play, each) for each in stage]
        try:
            for done in as_completed(running):
                yield done.result()
        finally:
            for each in running:
                each.cancel()
