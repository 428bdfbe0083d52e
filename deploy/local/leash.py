"""A child process must not outlive its parent, however the parent dies.

`python -I -S leash.py PARENT_PID COMMAND...` becomes the command. On Linux the kernel then sends
it SIGTERM when the parent is gone; elsewhere a parent that is killed outright leaves it behind.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        # The parent may have died before the kernel knew what to do about it.
        if os.getppid() != parent:
            sys.exit(f"the parent {parent} was gone before {command[0]} started")
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
