"""Plays know nothing of each other: as many at once as there are processes."""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from typing import Final, TypeVar

_LEFT_ALONE: Final = 1

T = TypeVar("T")
R = TypeVar("R")


def as_done(play: Callable[[T], R], stage: Iterable[T], *, processes: int) -> Iterator[R]:
    """What each play gives, as they are done; whoever asks no further ends the rest."""
    if processes == 1:
        yield from map(play, stage)
        return
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_end_together) as pool:
        with _deaf_to_ctrl_c():
            running = [pool.submit(play, each) for each in stage]
        try:
            for done in as_completed(running):
                yield done.result()
        except BaseException:
            for child in active_children():
                child.terminate()
            raise


def _end_together() -> None:
    """Who is killed outright can tell nobody, so that each child watches for its parent's end."""
    threading.Thread(target=_end_after_parent, name="parent", daemon=True).start()


def _end_after_parent() -> None:
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(_LEFT_ALONE)


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """A terminal tells everybody, but only who was asked has to answer: processes that are started
    here never hear of it, and would otherwise each print a stack trace."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
