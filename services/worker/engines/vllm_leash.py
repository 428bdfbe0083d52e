"""Processes that hold a GPU must not outlive the worker that started them, however it dies.

`python -I -S vllm_leash.py` reads their ids, one a line, until its standard input ends, as it does
when the worker is gone, and then kills them. A worker that stops in order lets it go first.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import active_children


@dataclass(slots=True)
class Leash:
    _holder: subprocess.Popen[bytes] | None = None
    _held: set[int] = field(default_factory=set)

    def hold_children(self) -> None:
        """Those too that were started since."""
        new = {child.pid for child in active_children() if child.pid is not None} - self._held
        if new:
            self._held |= new
            self._holder = self._holder or _a_holder()
            assert self._holder.stdin is not None
            self._holder.stdin.write("".join(f"{pid}\n" for pid in new).encode())

    def pull(self) -> None:
        """Kills whom it holds."""
        if self._holder is not None:
            self._holder.communicate()

    def let_go(self) -> None:
        if self._holder is not None:
            self._holder.kill()
            self._holder.communicate()


def _a_holder() -> subprocess.Popen[bytes]:
    words = [sys.executable, "-I", "-S", __file__]
    return subprocess.Popen(words, stdin=subprocess.PIPE, bufsize=0)


def main() -> None:
    # A signal to the whole process group is the worker's to obey, in order.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    for pid in [int(line) for line in sys.stdin]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
