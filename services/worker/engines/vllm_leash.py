"""Processes that hold a GPU must not outlive the worker that started them, however it dies.

`python -I -S vllm_leash.py PID...` waits until its standard input ends, as it does when the worker
is gone, and then kills them. A worker that stops in order lets it go first.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Leash:
    holder: subprocess.Popen[bytes]

    @classmethod
    def on(cls, pids: Iterable[int]) -> Self:
        words = [sys.executable, "-I", "-S", __file__, *map(str, pids)]
        return cls(subprocess.Popen(words, stdin=subprocess.PIPE))

    def let_go(self) -> None:
        self.holder.kill()
        self.holder.communicate()


def kill_all(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def main(pids: list[int]) -> None:
    # A signal to the whole process group is the worker's to obey, in order.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    sys.stdin.buffer.read()
    kill_all(pids)


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]])
